/** The frames of a stack: which is the call site, which belong to the application. */

import type { CallSite } from "../api/types";
import { place } from "./format";

export interface Frame {
  /** Short, but distinct from the other frames. */
  text: string;
  /** As the application sent it. */
  full: string;
  role: "site" | "own" | "foreign";
}

const FOREIGN = /site-packages|dist-packages|\/lib\/python3|<frozen /u;
/** In the format of Python's tracebacks. */
const TRACEBACK = /^\s*File "(.+)", line (\d+)(?:, in (.+))?$/u;

/** `full` is one frame in any format: a file, a line, a function. */
export function frameOf(full: string, site: CallSite): Frame {
  const [, file = "", line = "", name = ""] = TRACEBACK.exec(full) ?? [];
  const text = file === "" ? full : `${place(file, Number(line))} ${name}`.trim();
  const isSite = site.file !== "" && full.includes(site.file) && new RegExp(`\\b${site.line}\\b`, "u").test(full);
  return { text, full, role: isSite ? "site" : FOREIGN.test(full) ? "foreign" : "own" };
}
