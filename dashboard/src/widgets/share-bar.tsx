/** Where the time of a request went: a bar of slices with their legend. */

import type { JSX } from "preact";
import { duration, percent } from "../model/format";
import { text } from "../text";
import { type Share, SLICE_WORDS } from "../model/share";

export function ShareBar({ shares }: { shares: readonly Share[] }): JSX.Element {
  const said = shares.map(({ slice, share }) => `${SLICE_WORDS[slice].label} ${percent(share)}`).join(", ");
  return (
    <div class="shares">
      <div class="share-bar" role="img" aria-label={text.trace.shares(said)}>
        {shares.map(({ slice, share }) => (
          <i key={slice} class={`slice slice-${slice}`} style={{ flexGrow: share }} title={SLICE_WORDS[slice].label} />
        ))}
      </div>
      <ul class="legend">
        {shares.map(({ slice, ns, share }) => (
          <li key={slice} title={SLICE_WORDS[slice].meaning}>
            <i class={`swatch slice-${slice}`} aria-hidden="true" />
            {SLICE_WORDS[slice].label} <b>{duration(ns)}</b> <span class="muted">{percent(share)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
