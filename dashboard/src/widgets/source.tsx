/** A few lines of source around a call site, if the site sends them. */

import type { JSX } from "preact";
import type { SourceContext } from "../api/types";
import { sourceLines } from "../model/source";
import { text } from "../text";

const say = text.finding;

export function Source({ source }: { source: SourceContext | null }): JSX.Element | null {
  if (source === null) return null;
  return (
    <section>
      <h2>{say.source} <small class="muted">{say.sourceNote}</small></h2>
      <ol class="source" tabIndex={0} aria-label={say.source}>
        {sourceLines(source).map(({ number, text, marked }) => (
          <li key={number} class={marked ? "marked" : ""}>
            <span class="number">{number}</span>
            {marked && <span class="sr-only">{say.callSite}</span>}
            <code>{text}</code>
          </li>
        ))}
      </ol>
    </section>
  );
}
