/** Small drawn signs, so that no meaning hangs on colour alone. */

import type { JSX } from "preact";
import type { Level } from "../model/verdict";

const PATHS: Record<string, string> = {
  loop_blocked: "M8 2v3M8 11v3M2 8h3M11 8h3M5 5h6v6H5z",
  contention: "M2 5h9M8 2l3 3-3 3M14 11H5M8 8l-3 3 3 3",
  pool_starvation: "M2 13V6M6 13V6M10 13V6M14 13V6M2 3h12",
  refusal: "M4 4l8 8M12 4l-8 8",
  sync_middleware: "M2 4h12M2 8h5M9 8h5M2 12h12",
  parked_thread: "M5 3v10M11 3v10",
  hop_storm: "M1 11c2-8 4-8 4 0M6 11c2-8 4-8 4 0M11 11c2-8 4-8 4 0",
  good: "M3 8.5l3.5 3.5L13 4.5",
  warn: "M8 3v6M8 12v1",
  bad: "M4 4l8 8M12 4l-8 8",
};

export function Icon({ name }: { name: string }): JSX.Element {
  const path = Object.hasOwn(PATHS, name) ? PATHS[name] : "M8 8h.01";
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={path} />
    </svg>
  );
}

const LEVEL_WORDS: Record<Level, string> = { good: "Good", warn: "Look at this", bad: "Act on this" };

/** A level as colour, sign and (for who cannot see) word. */
export function LevelMark({ level }: { level: Level }): JSX.Element {
  return (
    <span class={`level level-${level}`}>
      <Icon name={level} />
      <span class="sr-only">{LEVEL_WORDS[level]}: </span>
    </span>
  );
}
