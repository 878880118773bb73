/** Whom a finding delayed beside requests. */

import { text } from "../text";
import { plural } from "./format";

/** `2 messages, 1 task`; "" where only requests were delayed. */
export function othersAffected({ messages, tasks }: { messages: number; tasks: number }): string {
  const parts: string[] = [];
  if (messages > 0) parts.push(plural(messages, ...text.nouns.message));
  if (tasks > 0) parts.push(plural(tasks, ...text.nouns.task));
  return parts.join(", ");
}
