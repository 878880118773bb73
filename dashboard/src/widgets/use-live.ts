/** Hooks over live data. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Question } from "../api/client";
import { Live, type LiveState } from "../api/live";
import { signInNeeded } from "../api/session";
import { follow } from "../api/stream";
import { environment, service } from "./location";

export interface Asked<T> extends LiveState<T> {
  refresh: () => void;
}

/**
 * The response to `question`, kept current. While a changed request is running, the previous response stays, marked
 * stale, if `keep` is set.
 */
export function useLive<T>(question: Question<T>, keep: boolean, again?: (data: T) => boolean): Asked<T> {
  const live = useMemo(() => new Live<T>(again), []);
  useEffect(() => () => live.stop(), [live]);
  useEffect(() => live.ask(question, keep), [live, question.url, keep]);
  return { ...live.state.value, refresh: live.refresh };
}

/** Follow the collector's events for the selected service and environment. */
export function useStream(): void {
  const [chosen, where] = [service.value, environment.value];
  const closed = signInNeeded.value;
  useEffect(() => (closed ? undefined : follow({ service: chosen, environment: where })), [chosen, where, closed]);
}

export interface Steady<T> {
  shown: T;
  held: boolean;
  /** Props for the element that contains the list. */
  hold: {
    onPointerEnter: (event: PointerEvent) => void;
    onPointerLeave: () => void;
    onFocusIn: (event: FocusEvent) => void;
    onFocusOut: () => void;
  };
}

/** `data`, frozen while a mouse points at it or it has the keyboard focus, so that rows do not move away. */
export function useSteady<T>(data: T, question: string): Steady<T> {
  const [pointed, setPointed] = useState(false);
  const [focused, setFocused] = useState(false);
  const last = useRef({ data, question });
  const held = pointed || focused;
  if (!held || last.current.question !== question) last.current = { data, question };
  return {
    shown: last.current.data,
    held,
    hold: {
      onPointerEnter: (event) => setPointed(event.pointerType === "mouse"),
      onPointerLeave: () => setPointed(false),
      onFocusIn: (event) => setFocused(event.target instanceof Element && event.target.matches(":focus-visible")),
      onFocusOut: () => setFocused(false),
    },
  };
}
