/** The collector's warnings: its store, disk and rules; senders' clocks, and combined names. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Health, readHealth } from "../api/health";
import type { StatusOutput } from "../api/types";
import { senderNotes, wrongClocks } from "../model/senders";
import { storeWarnings } from "../model/store";
import { text } from "../text";
import { linkTo } from "./location";

const EVERY_MS = 30_000;

export function Warnings(): JSX.Element {
  const health = useHealth();
  const said = health === null ? [] : warningsOf(health);
  return (
    <div role="status">
      {said.length > 0 && (
        <div class="banner banner-warn">
          <b>{text.states.storeTitle}</b>
          <ul>
            {said.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </div>
      )}
      {health?.status != null && <Senders status={health.status} />}
    </div>
  );
}

function Senders({ status }: { status: StatusOutput }): JSX.Element | null {
  const clocks = wrongClocks(status);
  const notes = senderNotes(status);
  if (clocks.length + notes.length === 0) return null;
  const words = text.senders;
  return (
    <div class="banner banner-warn">
      <b>{words.title}</b>
      <ul>
        {clocks.map(({ said, service, range }) => (
          <li key={said}>
            {said} {words.kept} <a href={linkTo("overview", "", { service, ...range })}>{words.show}</a>
          </li>
        ))}
        {notes.map((note) => (
          <li key={note}>{note}</li>
        ))}
      </ul>
    </div>
  );
}

function warningsOf({ reason, warnings, status }: Health): string[] {
  const ofStore = status === null ? [] : storeWarnings(status);
  return [reason, ...ofStore, ...warnings].filter((warning) => warning !== "");
}

/** Requested now and every half minute while the page is visible. */
function useHealth(): Health | null {
  const [health, setHealth] = useState<Health | null>(null);
  useEffect(() => {
    const closing = new AbortController();
    const look = (): void => {
      if (document.hidden) return;
      readHealth(closing.signal).then(setHealth, (error: unknown) => {
        if (!closing.signal.aborted) console.error(error);
      });
    };
    look();
    const timer = setInterval(look, EVERY_MS);
    document.addEventListener("visibilitychange", look);
    return () => {
      closing.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
  return health;
}
