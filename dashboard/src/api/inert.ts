/**
 * Characters that act instead of being read: C0 and C1 controls (but tab and newline), and the marks that
 * turn the direction of text around, with which a file name can look like another.
 */
const ACTING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** `text` with every acting character replaced by one that shows where it stood. */
export function inert(text: string): string {
  return text.replace(ACTING, "\ufffd");
}

/** JSON whose every string value is inert. Keys are shown too (attribute names), so they are as well. */
export function parseInert(json: string): unknown {
  return JSON.parse(json, (_key, value: unknown) => {
    if (typeof value === "string") return inert(value);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return withInertKeys(value);
    return value;
  });
}

function withInertKeys(value: object): object {
  const entries = Object.entries(value);
  if (entries.every(([key]) => inert(key) === key)) return value;
  return Object.fromEntries(entries.map(([key, item]) => [inert(key), item]));
}
