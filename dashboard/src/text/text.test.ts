/// <reference types="vite/client" />
import { expect, it } from "vitest";

const SOURCES: Record<string, string> = import.meta.glob("../{views,widgets,app}/*.tsx", {
  query: "?raw",
  import: "default",
  eager: true,
});
/** What a reader types as it stands: commands and settings. */
const CODE = ["pip install ./instrumentation", "Enter", "Esc"];
/** Type arguments look like tags; what follows them is code. */
const PROGRAM = /[;(){}=|?]/u;

/** Words between tags, and in the attributes that are read out or shown. */
function wordsIn(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//gu, "").replace(/\/\/ .*/gu, "");
  const between = [...code.matchAll(/<\/?[a-z][^<>{}]*>([^<>{}]*[A-Za-z]{3,}[^<>{}]*)(?=<|\{)/gu)].map(([, words]) => words ?? "");
  const attributes = [...code.matchAll(/\b(?:aria-label|title|placeholder|label|alt)="([^"]*[A-Za-z]{2,}[^"]*)"/gu)];
  const found = [...between, ...attributes.map(([, words]) => words ?? "")].map((words) => words.trim());
  return found.filter((words) => words !== "" && !CODE.includes(words) && !PROGRAM.test(words));
}

it("every word of the page stands among the messages, so that it can be translated", () => {
  const strays = Object.entries(SOURCES).flatMap(([file, source]) => wordsIn(source).map((words) => `${file}: ${words}`));

  expect(Object.keys(SOURCES).length).toBeGreaterThan(25);
  expect(strays).toEqual([]);
});

it("finds words where there are some", () => {
  expect(wordsIn('<p class="x">Hello there</p><a title="Open it">{text.link}</a>')).toEqual(["Hello there", "Open it"]);
  expect(wordsIn("<kbd>Enter</kbd>; a < b;")).toEqual([]);
});
