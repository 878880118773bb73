/**
 * Characters with an effect instead of a glyph: C0 and C1 controls (except tab and newline), and the marks that change
 * the direction of text, with which one file name can look like another.
 */
const ACTING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** `text` with every such character replaced by a visible one. */
export function sanitize(text: string): string {
  return text.replace(ACTING, "\ufffd");
}

/** Parse JSON with every string sanitized. Keys as well, because attribute names are shown. */
export function parseSanitized(json: string): unknown {
  return JSON.parse(json, (_key, value: unknown) => {
    if (typeof value === "string") return sanitize(value);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return withInertKeys(value);
    return value;
  });
}

function withInertKeys(value: object): object {
  const entries = Object.entries(value);
  if (entries.every(([key]) => sanitize(key) === key)) return value;
  return Object.fromEntries(entries.map(([key, item]) => [sanitize(key), item]));
}
