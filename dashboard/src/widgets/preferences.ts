/** Preferences stored in this browser: theme and time zone. */

import { computed, effect, signal } from "@preact/signals";
import { type Zone, zone } from "../model/format";

export type ThemeChoice = "system" | "light" | "dark";

export const THEMES: readonly ThemeChoice[] = ["system", "light", "dark"];
export const ZONES: readonly Zone[] = ["local", "utc"];
const scheme = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(scheme.matches);
scheme.addEventListener("change", () => {
  systemDark.value = scheme.matches;
});

export const themeChoice = signal<ThemeChoice>(remembered("theme", THEMES));
export const theme = computed(() => (themeChoice.value === "system" ? (systemDark.value ? "dark" : "light") : themeChoice.value));
zone.value = remembered("zone", ZONES);

// Before anything is drawn: canvases read their colours from the page.
effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});

/** The stored choice, else the first. */
function remembered<T extends string>(name: string, choices: readonly [T, ...T[]] | readonly T[]): T {
  const first = choices[0] as T;
  try {
    return choices.find((choice) => choice === localStorage.getItem(`asgiscope.${name}`)) ?? first;
  } catch {
    return first; // storage is disabled in this browser: the choice lasts as long as the page
  }
}

function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`asgiscope.${name}`, value);
  } catch {
    // As above.
  }
}

export function chooseTheme(choice: ThemeChoice): void {
  themeChoice.value = choice;
  remember("theme", choice);
}

export function chooseZone(choice: Zone): void {
  zone.value = choice;
  remember("zone", choice);
}
