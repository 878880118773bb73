/** The legend of the timeline's fills. */

import type { JSX } from "preact";
import { text } from "../text";

export function Legend(): JSX.Element {
  return (
    <ul class="legend" aria-label={text.trace.legend}>
      {Object.entries(text.trace.legendEntries).map(([swatch, meaning]) => (
        <li key={swatch}>
          <i class={`swatch swatch-${swatch}`} aria-hidden="true" />
          {meaning}
        </li>
      ))}
      <li>
        <span aria-hidden="true">↑</span> {text.trace.waitsFor}
      </li>
    </ul>
  );
}
