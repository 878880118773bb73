import { expect, it } from "vitest";
import { duration } from "./format";
import { othersAffected, victimsText } from "./victims";

it("names messages and tasks apart, and nothing where only requests were delayed", () => {
  expect(othersAffected({ messages: 2, tasks: 1 })).toBe("2 messages, 1 task");
  expect(othersAffected({ messages: 1, tasks: 0 })).toBe("1 message");
  expect(othersAffected({ messages: 0, tasks: 3 })).toBe("3 tasks");
  expect(othersAffected({ messages: 0, tasks: 0 })).toBe("");
});

it("gives what requests, messages and tasks lost together, and names them apart", () => {
  const none = { requests: 0, total_ns: 0, messages: 0, tasks: 0, background_ns: 0 };
  expect(victimsText(none)).toBe("");
  expect(victimsText({ ...none, requests: 60, total_ns: 5e9 })).toBe(`60 lost ${duration(5e9)}`);
  expect(victimsText({ ...none, requests: 1, total_ns: 1e9, messages: 2, background_ns: 1e9 })).toBe(
    `1 request, 2 messages lost ${duration(2e9)}`,
  );
});
