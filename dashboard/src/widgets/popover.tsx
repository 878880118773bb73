/** A box that opens below a button, and closes on Escape or a click elsewhere. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

export interface PopoverProps {
  id: string;
  /** Content of the button; `label` describes what it opens. */
  button: ComponentChildren;
  label: string;
  open: boolean;
  onToggle: (open: boolean) => void;
  children: ComponentChildren;
}

export function Popover(props: PopoverProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    if (!props.open) return undefined;
    const close = (focus: boolean): void => {
      latest.current.onToggle(false);
      if (focus) opener.current?.focus();
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close(true);
    };
    const onPress = (event: PointerEvent): void => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) close(false);
    };
    document.addEventListener("keydown", onKey, true);
    document.addEventListener("pointerdown", onPress, true);
    box.current?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      document.removeEventListener("keydown", onKey, true);
      document.removeEventListener("pointerdown", onPress, true);
    };
  }, [props.open]);
  return (
    <div class="popover" ref={box}>
      <button ref={opener} type="button" aria-expanded={props.open} aria-controls={props.id}
        title={props.label} onClick={() => props.onToggle(!props.open)}>
        {props.button}
      </button>
      {props.open && (
        <div id={props.id} class="popover-box" role="dialog" aria-label={props.label}>
          {props.children}
        </div>
      )}
    </div>
  );
}
