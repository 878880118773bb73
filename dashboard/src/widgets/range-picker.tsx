/** The time range: quick ranges, start and end, buttons to move and zoom out, local time or UTC. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Zone, zone } from "../model/format";
import { unreachableSince } from "../api/live";
import { storedAt } from "../api/stream";
import { boundsOf, isLive, parseTime, QUICK, rangeText, shifted, spanText, widened, writtenTime } from "../model/range";
import { text } from "../text";
import { Icon } from "./icon";
import { range, setRange } from "./location";
import { Popover } from "./popover";
import { chooseZone, ZONES } from "./preferences";
import { now } from "./atoms";

/** Whether the picker is open; a key opens it from anywhere. */
export const pickerOpen = signal(false);
const words = text.range;

export function RangePicker(): JSX.Element {
  const shown = rangeText(range.value, zone.value);
  const live = isLive(range.value);
  const mark = !live ? "past" : unreachableSince.value !== null ? "cut" : isArriving(now.value) ? "live" : "quiet";
  return (
    <div class="range" role="group" aria-label={words.label}>
      <Step icon="earlier" label={words.earlier} onPress={() => setRange(shifted(range.value, -1, Date.now()))} />
      <Popover id="range-picker" label={words.change(shown)} open={pickerOpen.value} onToggle={(open) => (pickerOpen.value = open)}
        button={
          <>
            <span class="sr-only">{words.label}: </span>
            <span class={mark === "live" ? "live-mark" : "past-mark"} title={words.marks[mark].meaning}>
              {words.marks[mark].name}
            </span>
            {shown}
          </>
        }>
        <Picker />
      </Popover>
      <Step icon="later" label={words.later} disabled={live} onPress={() => setRange(shifted(range.value, 1, Date.now()))} />
      <Step icon="wider" label={words.wider} onPress={() => setRange(widened(range.value, Date.now()))} />
    </div>
  );
}

/** Longest time without stored data that still counts as live: a running site sends its tallies every few seconds. */
const QUIET_MS = 90_000;

function isArriving(moment: number): boolean {
  return storedAt.value !== null && moment - storedAt.value < QUIET_MS;
}

function Step(props: { icon: string; label: string; disabled?: boolean; onPress: () => void }): JSX.Element {
  return (
    <button type="button" class="icon-button" aria-label={props.label} title={props.label} disabled={props.disabled === true}
      onClick={props.onPress}>
      <Icon name={props.icon} />
    </button>
  );
}

function Picker(): JSX.Element {
  const choose = (since: string): void => {
    setRange({ since, until: "" });
    pickerOpen.value = false;
  };
  return (
    <div class="picker">
      <Absolute />
      <div>
        <h2>{words.quick}</h2>
        <ul class="quick">
          {QUICK.map((since) => (
            <li key={since}>
              <button type="button" class="quiet" aria-pressed={isLive(range.value) && range.value.since === since}
                onClick={() => choose(since)}>
                {words.last(spanText(since))}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

function Absolute(): JSX.Element {
  const [from, setFrom] = useState(writtenTime(range.value.since, zone.value));
  const [to, setTo] = useState(writtenTime(range.value.until, zone.value));
  const [slip, setSlip] = useState("");
  const apply = (event: Event): void => {
    event.preventDefault();
    const now = Date.now();
    const [since, until] = [parseTime(from, zone.value, now), parseTime(to, zone.value, now)];
    if (since === null || until === null || since === "") {
      setSlip(words.unread);
      return;
    }
    const { start, end } = boundsOf({ since, until }, now);
    if (start >= end) {
      setSlip(words.reversed);
      return;
    }
    setRange({ since, until });
    pickerOpen.value = false;
  };
  const inZone = (next: Zone): void => {
    // The times stay, their format changes.
    const now = Date.now();
    const rewritten = (written: string): string => {
      const value = parseTime(written, zone.peek(), now);
      return value === null ? written : writtenTime(value, next);
    };
    setFrom(rewritten(from));
    setTo(rewritten(to));
    chooseZone(next);
  };
  return (
    <form onSubmit={apply}>
      <h2>{words.absolute}</h2>
      <label>
        {words.from}
        <input data-first value={from} spellcheck={false} autocomplete="off" onInput={(event) => setFrom(event.currentTarget.value)} />
      </label>
      <label>
        {words.to}
        <input value={to} spellcheck={false} autocomplete="off" onInput={(event) => setTo(event.currentTarget.value)} />
      </label>
      <p class="muted small">{words.example}</p>
      <p role="alert" class="slip">{slip}</p>
      <label>
        {words.zone}
        <select value={zone.value} onChange={(event) => inZone(event.currentTarget.value as Zone)}>
          {ZONES.map((each) => (
            <option key={each} value={each} selected={each === zone.value}>
              {words.zones[each]}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" class="primary">{words.apply}</button>
    </form>
  );
}
