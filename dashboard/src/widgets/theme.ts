/** Light, dark, or what the system says; remembered in this browser. */

import { computed, effect, signal } from "@preact/signals";

export type ThemeChoice = "system" | "light" | "dark";

const KEY = "asgiscope.theme";
const CHOICES: readonly ThemeChoice[] = ["system", "light", "dark"];
const scheme = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(scheme.matches);
scheme.addEventListener("change", () => {
  systemDark.value = scheme.matches;
});

export const themeChoice = signal<ThemeChoice>(remembered());
export const theme = computed(() => (themeChoice.value === "system" ? (systemDark.value ? "dark" : "light") : themeChoice.value));

// Before anything is drawn: what is drawn on a canvas reads its colours from the page.
effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});

function remembered(): ThemeChoice {
  try {
    return CHOICES.find((choice) => choice === localStorage.getItem(KEY)) ?? "system";
  } catch {
    return "system"; // storage is switched off in this browser: the choice lasts as long as the page
  }
}

export function chooseTheme(choice: ThemeChoice): void {
  themeChoice.value = choice;
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // As above.
  }
}
