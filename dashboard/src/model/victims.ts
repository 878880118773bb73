/** What a finding delayed: requests, and separately messages and background tasks. */

import type { Victims } from "../api/types";
import { text } from "../text";
import { count, duration, plural } from "./format";

/** `2 messages, 1 task`; "" if only requests were delayed. */
export function othersAffected({ messages, tasks }: { messages: number; tasks: number }): string {
  const parts: string[] = [];
  if (messages > 0) parts.push(plural(messages, ...text.nouns.message));
  if (tasks > 0) parts.push(plural(tasks, ...text.nouns.task));
  return parts.join(", ");
}

/** `60 lost 5.31 s`: the number of requests and their total loss; messages and tasks are listed separately. */
export function victimsText(victims: Victims): string {
  const others = othersAffected(victims);
  if (victims.requests === 0 && others === "") return "";
  const lost = victims.total_ns + victims.background_ns;
  const requests = others === "" ? count(victims.requests) : plural(victims.requests, ...text.nouns.request);
  const who = [...(victims.requests > 0 ? [requests] : []), ...(others === "" ? [] : [others])].join(", ");
  return lost > 0 ? text.findings.lost(who, duration(lost)) : who;
}
