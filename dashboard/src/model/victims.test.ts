import { expect, it } from "vitest";
import { othersAffected } from "./victims";

it("names messages and tasks apart, and nothing where only requests were delayed", () => {
  expect(othersAffected({ messages: 2, tasks: 1 })).toBe("2 messages, 1 task");
  expect(othersAffected({ messages: 1, tasks: 0 })).toBe("1 message");
  expect(othersAffected({ messages: 0, tasks: 3 })).toBe("3 tasks");
  expect(othersAffected({ messages: 0, tasks: 0 })).toBe("");
});
