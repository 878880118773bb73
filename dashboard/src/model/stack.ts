/** The frames of a stack: which is the call site, which belong to the application. */

import type { CallSite } from "../api/types";

export interface Frame {
  text: string;
  role: "site" | "own" | "foreign";
}

const FOREIGN = /site-packages|dist-packages|\/lib\/python3|<frozen /u;

/** `text` is one frame as the application sent it, whatever its form: a place, a function. */
export function frameOf(text: string, site: CallSite): Frame {
  if (site.file !== "" && text.includes(site.file) && new RegExp(`\\b${site.line}\\b`, "u").test(text)) {
    return { text, role: "site" };
  }
  return { text, role: FOREIGN.test(text) ? "foreign" : "own" };
}
