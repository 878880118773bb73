import { expect, it } from "vitest";
import type { TraceSummary } from "../api/types";
import { lastName } from "./labels";
import { olderThan, withoutDoubles } from "./pages";
import { frameOf } from "./stack";

it("asks for older pages a little later than told, since the number was rounded", () => {
  const cursor = 1_795_255_938_292_153_728;
  expect(olderThan(cursor)).toBeGreaterThan(cursor);
  expect(olderThan(cursor) - cursor).toBe(256);
});

it("shows a trace that two pages hold once, the newest first", () => {
  const summary = (trace_id: string, start_ns: number, spans: number): TraceSummary => ({ trace_id, start_ns, spans }) as TraceSummary;
  const traces = withoutDoubles([summary("a", 1, 9), summary("c", 3, 1), summary("a", 1, 2), summary("b", 2, 1)]);

  expect(traces.map(({ trace_id, spans }) => [trace_id, spans])).toEqual([["c", 1], ["b", 1], ["a", 9]]);
});

it("tells the call site and the application's frames from foreign ones", () => {
  const site = { function: "list_products", file: "/srv/shop/views.py", line: 41 };
  const roles = [
    'File "/srv/shop/views.py", line 41, in list_products',
    "/srv/shop/views.py:41 list_products",
    'File "/srv/shop/views.py", line 410, in other',
    'File "/venv/lib/python3.12/site-packages/django/db/models/query.py", line 400, in __iter__',
    'File "<frozen importlib._bootstrap>", line 1',
  ].map((text) => frameOf(text, site).role);

  expect(roles).toEqual(["site", "site", "own", "foreign", "foreign"]);
  expect(frameOf('File "/venv/lib/python3.12/site-packages/django/db/models/query.py", line 400, in QuerySet.__iter__', site).text).toBe(
    "django/db/models/query.py:400 QuerySet.__iter__",
  );
  expect(frameOf("native code", site).text).toBe("native code");
});

it("writes of a qualified name what tells functions apart", () => {
  expect(["shop.views.list_products", "shop.models.Order.save", "main.<locals>.work", "f", ""].map(lastName)).toEqual([
    "list_products", "Order.save", "work", "f", "",
  ]);
});
