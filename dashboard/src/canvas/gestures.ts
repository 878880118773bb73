/** Wheel, drag and pinch gestures on a timeline as changes of its viewport. */

export interface GestureTarget {
  /** Zoom by `factor` around `x` (CSS pixels from the left); returns whether anything changed. */
  zoomAt(x: number, factor: number): boolean;
  panBy(pixels: number): void;
  scrollBy(pixels: number): void;
  point(x: number, y: number): void;
  leave(): void;
  click(x: number, y: number): void;
  doubleClick(x: number, y: number): void;
}

/** Pixels that a press may move and still be a click. */
const CLICK_SLOP = 4;

/** Listen on `element`; returns a function that removes the listeners. */
export function listen(element: HTMLElement, target: GestureTarget): () => void {
  const stop = new AbortController();
  const options = { signal: stop.signal };
  const pointers = new Map<number, PointerEvent>();
  let moved = 0;

  const at = (event: MouseEvent): [number, number] => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  element.addEventListener(
    "wheel",
    (event) => {
      const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      const delta = (sideways && event.deltaX !== 0 ? event.deltaX : event.deltaY) * (event.deltaMode === 1 ? 16 : 1);
      if (sideways) target.panBy(delta);
      // If everything is already visible, the wheel scrolls the page.
      else if (!target.zoomAt(at(event)[0], 2 ** (-delta / (event.ctrlKey ? 100 : 300)))) return;
      event.preventDefault();
    },
    { ...options, passive: false },
  );
  element.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button !== 0) return;
      pointers.set(event.pointerId, event);
      element.setPointerCapture(event.pointerId);
      moved = 0;
    },
    options,
  );
  element.addEventListener(
    "pointermove",
    (event) => {
      const before = pointers.get(event.pointerId);
      if (before === undefined) {
        target.point(...at(event));
        return;
      }
      const pinch = pointers.size === 2 ? spread(pointers) : null;
      pointers.set(event.pointerId, event);
      const dx = event.clientX - before.clientX;
      const dy = event.clientY - before.clientY;
      moved += Math.hypot(dx, dy);
      if (moved > CLICK_SLOP) target.leave();
      if (pinch !== null) {
        const after = spread(pointers);
        target.zoomAt(after.middle - element.getBoundingClientRect().left, after.distance / Math.max(pinch.distance, 1));
        target.panBy(pinch.middle - after.middle);
      } else if (moved > CLICK_SLOP) {
        target.panBy(-dx);
        if (event.pointerType === "mouse") target.scrollBy(-dy);
      }
    },
    options,
  );
  element.addEventListener(
    "pointerup",
    (event) => {
      if (pointers.delete(event.pointerId) && moved <= CLICK_SLOP) target.click(...at(event));
    },
    options,
  );
  element.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId), options);
  element.addEventListener("pointerleave", () => target.leave(), options);
  element.addEventListener("dblclick", (event) => target.doubleClick(...at(event)), options);
  return () => stop.abort();
}

function spread(pointers: ReadonlyMap<number, PointerEvent>): { middle: number; distance: number } {
  const [a, b] = [...pointers.values()];
  if (a === undefined || b === undefined) return { middle: 0, distance: 1 };
  return {
    middle: (a.clientX + b.clientX) / 2,
    distance: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
  };
}
