/// <reference types="vite/client" />
import { expect, it } from "vitest";

const LAYERS = ["text", "api", "model", "canvas", "widgets", "views", "app"];
const MOST_LINES = 400;
const FILES: Record<string, string> = import.meta.glob(["./**/*.{ts,tsx,css}", "../build.py"], {
  query: "?raw",
  import: "default",
  eager: true,
});

it("imports point one way", () => {
  const against: string[] = [];
  for (const [file, text] of Object.entries(FILES)) {
    const layer = LAYERS.indexOf(file.split("/")[1] ?? "");
    for (const [, target] of text.matchAll(/from "\.\.\/(\w+)\//gu)) {
      if (layer >= 0 && LAYERS.indexOf(target ?? "") >= layer) against.push(`${file} imports ${target}`);
    }
  }

  expect(Object.keys(FILES).length).toBeGreaterThan(40);
  expect(against).toEqual([]);
});

it("no file is too long", () => {
  // The file generated from the API's description is checked by the compiler only.
  const long = Object.entries(FILES).filter(([file, text]) => file !== "./api/schema.ts" && text.split("\n").length > MOST_LINES);

  expect(long.map(([file]) => file)).toEqual([]);
});

it("the page has three dependencies at run time", async () => {
  const { dependencies } = await import("../package.json");

  expect(Object.keys(dependencies)).toEqual(["@preact/signals", "preact", "uplot"]);
});
