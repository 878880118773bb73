/** The critical path as text: its longest steps, in order. */

import type { JSX } from "preact";
import { type CriticalPath, longestSteps } from "../model/critical";
import { duration, percent } from "../model/format";
import { text } from "../text";
import { Meter } from "./atoms";

const MOST = 8;
const words = text.trace;

export interface CriticalStepsProps {
  path: CriticalPath;
  selected: string | null;
  onSelect: (key: string) => void;
}

export function CriticalSteps({ path, selected, onSelect }: CriticalStepsProps): JSX.Element | null {
  const steps = longestSteps(path, MOST);
  // A path of one step adds nothing to the shares.
  if (path.steps.length < 2) return null;
  const whole = path.steps.reduce((sum, { start, end }) => sum + end - start, 0);
  return (
    <section>
      <h2>
        {words.critical} <small class="muted">{words.criticalSteps(steps.length, path.steps.length)}</small>
      </h2>
      <p class="muted small">{words.criticalMeaning}</p>
      <ol class="steps">
        {steps.map(({ key, span, start, end, part }) => (
          <li key={`${key} ${start}`} class={key === selected ? "selected" : ""}>
            <span class="num">{duration(start)}</span>
            <span>
              <button type="button" class="link" onClick={() => onSelect(key)}>
                {words.stepOf[part](span.name)}
              </button>
            </span>
            <span class="num">
              <b>{duration(end - start)}</b> <small class="muted">{percent((end - start) / whole)}</small>
              <Meter share={(end - start) / whole} level={part === "run" ? "" : "warn"} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
