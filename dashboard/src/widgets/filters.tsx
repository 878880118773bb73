/** Controls whose values are in the URL. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { text } from "../text";
import { route, setParams } from "./location";

/** A changed filter returns to the first page. */
function apply(name: string, value: string, push: boolean): void {
  setParams({ [name]: value, page: "" }, push);
}

export function FilterBar(props: { clear: readonly string[]; children: ComponentChildren }): JSX.Element {
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      {props.children}
      {props.clear.length > 0 && (
        <button type="button" onClick={() => setParams(Object.fromEntries([...props.clear, "page"].map((name) => [name, ""])))}>
          {text.findings.clear}
        </button>
      )}
    </form>
  );
}

export function SelectFilter(props: {
  name: string;
  label: string;
  options: readonly (readonly [value: string, label: string])[];
}): JSX.Element {
  const value = route.value.params[props.name] ?? "";
  return (
    <label>
      <span>{props.label}</span>
      <select value={value} onChange={(event) => apply(props.name, event.currentTarget.value, true)}>
        {props.options.map(([option, label]) => (
          <option key={option} value={option} selected={option === value}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Delay after the last keystroke before a search starts, ms. */
const TYPING_MS = 250;

export function TextFilter(props: {
  name: string;
  label: string;
  placeholder: string;
  choices?: readonly string[];
  /** The key that moves the focus here. */
  focusKey?: string;
}): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const value = route.value.params[props.name] ?? "";
  useEffect(() => {
    if (input.current !== null && document.activeElement !== input.current) input.current.value = value;
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useFocusKey(props.focusKey, input);
  const list = props.choices === undefined ? undefined : `choices-${props.name}`;
  return (
    <label>
      <span>{props.label}</span>
      <input
        ref={input}
        type="search"
        defaultValue={value}
        placeholder={props.placeholder}
        list={list}
        autocomplete="off"
        spellcheck={false}
        maxLength={200}
        onInput={(event) => {
          const text = event.currentTarget.value;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => apply(props.name, text.trim(), false), TYPING_MS);
        }}
      />
      {list !== undefined && (
        <datalist id={list}>
          {props.choices?.map((choice) => (
            <option key={choice} value={choice} />
          ))}
        </datalist>
      )}
    </label>
  );
}

/** Let `key` move the focus to `input`, unless the user is typing elsewhere. */
export function useFocusKey(key: string | undefined, input: { current: HTMLInputElement | null }): void {
  useEffect(() => {
    if (key === undefined) return undefined;
    const onKey = (event: KeyboardEvent): void => {
      const writing = event.target instanceof Element && event.target.closest("input, select, textarea") !== null;
      if (event.key !== key || writing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [key]);
}
