/** Small icons, so that nothing is expressed by colour alone. */

import type { JSX } from "preact";
import { text } from "../text";
import type { Level } from "../model/verdict";

const PATHS: Record<string, string> = {
  loop_blocked: "M8 2v3M8 11v3M2 8h3M11 8h3M5 5h6v6H5z",
  contention: "M2 5h9M8 2l3 3-3 3M14 11H5M8 8l-3 3 3 3",
  pool_starvation: "M2 13V6M6 13V6M10 13V6M14 13V6M2 3h12",
  refusal: "M4 4l8 8M12 4l-8 8",
  sync_middleware: "M2 4h12M2 8h5M9 8h5M2 12h12",
  parked_thread: "M5 3v10M11 3v10",
  connection_wait: "M2 4h12M2 4v8h12V4M5 8h.01M8 8h.01M11 8h.01",
  connection_left: "M3 8h4M9 8h4M7 5v6M9 5v6",
  connection_idle: "M3 8h4M9 8h4M7 5v6M9 5v6M2 13h12",
  deadlock: "M4 6V4h8v2M10 4l2 2 2-2M12 10v2H4v-2M2 12l2-2 2 2",
  hop_storm: "M1 11c2-8 4-8 4 0M6 11c2-8 4-8 4 0M11 11c2-8 4-8 4 0",
  stream_read_whole: "M2 4h12v8H2zM5 7h6M5 9h6",
  session_saved: "M3 2h8l2 2v10H3zM5 2v4h5V2M5 10h6",
  good: "M3 8.5l3.5 3.5L13 4.5",
  warn: "M8 3v6M8 12v1",
  unknown: "M5.5 6a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M8 12.5v.5",
  bad: "M4 4l8 8M12 4l-8 8",
  earlier: "M10 3L5 8l5 5",
  later: "M6 3l5 5-5 5",
  wider: "M6.5 11.5a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM10 10l4 4M4.5 6.5h4",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.5 4.5L11.5 9M9 11.5L7.5 13A3 3 0 0 1 3 8.5L4.5 7",
  keys: "M2 4h12v8H2zM4.5 6.5h.01M7 6.5h.01M9.5 6.5h.01M12 6.5h.01M5 9.5h6",
  release: "M4 14V2l8 3-8 3",
  bell: "M8 2a4 4 0 0 0-4 4v3l-1.5 2.5h11L12 9V6a4 4 0 0 0-4-4zM6.5 13.5h3",
  better: "M8 3v10M4 9l4 4 4-4",
  worse: "M8 13V3M4 7l4-4 4 4",
  new: "M8 3v10M3 8h10",
  gone: "M3 8.5l3.5 3.5L13 4.5",
  same: "M3 6h10M3 10h10",
  inactive: "M3 8h10",
  pending: "M8 3v5l3 3M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z",
  firing: "M8 2a4 4 0 0 0-4 4v3l-1.5 2.5h11L12 9V6a4 4 0 0 0-4-4zM6.5 13.5h3",
  delivered: "M3 8.5l3.5 3.5L13 4.5",
  refused: "M4 4l8 8M12 4l-8 8",
  abandoned: "M4 4l8 8M12 4l-8 8",
  open: "M8 3a5 5 0 1 0 0 10 5 5 0 0 0 0-10z",
  resolved: "M3 8.5l3.5 3.5L13 4.5",
  regressed: "M13 8a5 5 0 1 1-1.5-3.5L13 6M13 2.5V6H9.5",
  ignored: "M3.5 3.5l9 9M8 3a5 5 0 1 0 0 10 5 5 0 0 0 0-10z",
  pause: "M5 3v10M11 3v10",
};

export function Icon({ name }: { name: string }): JSX.Element {
  const path = Object.hasOwn(PATHS, name) ? PATHS[name] : "M8 8h.01";
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={path} />
    </svg>
  );
}

/** A level as colour, icon and (for screen readers) text. */
export function LevelMark({ level }: { level: Level }): JSX.Element {
  return (
    <span class={`level level-${level}`}>
      <Icon name={level} />
      <span class="sr-only">{text.levels[level]}: </span>
    </span>
  );
}
