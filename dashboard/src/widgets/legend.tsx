/** What the fillings of the timeline mean. */

import type { JSX } from "preact";

const ENTRIES: readonly (readonly [swatch: string, text: string])[] = [
  ["wait", "queue wait"],
  ["run", "run"],
  ["stall", "loop blocked"],
  ["query", "query"],
  ["session", "session"],
  ["parked", "parked"],
  ["tail", "resume delay"],
  ["ghost", "other trace"],
];

export function Legend(): JSX.Element {
  return (
    <ul class="legend" aria-label="Legend">
      {ENTRIES.map(([swatch, text]) => (
        <li key={swatch}>
          <i class={`swatch swatch-${swatch}`} aria-hidden="true" />
          {text}
        </li>
      ))}
      <li>
        <span aria-hidden="true">↑</span> waits for
      </li>
    </ul>
  );
}
