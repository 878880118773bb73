/** The lines around a call site for display: numbered, and without their common indent. */

import type { SourceContext } from "../api/types";

export interface SourceLine {
  number: number;
  text: string;
  /** The line that the finding names. */
  marked: boolean;
}

/** A tab counts as one character: Python forbids mixing the two. */
const INDENT = /^[ \t]*/u;

export function sourceLines({ first_line: first, line, lines }: SourceContext): SourceLine[] {
  const indents = lines.filter((text) => text.trim() !== "").map((text) => INDENT.exec(text)?.[0].length ?? 0);
  const common = Math.min(...indents, Number.MAX_SAFE_INTEGER);
  return lines.map((text, index) => ({
    number: first + index,
    text: text.slice(common),
    marked: first + index === line,
  }));
}
