/** The API's types under the page's names; all come from schema.ts, which is generated from the collector's models. */

import type { Json } from "./schema";

export type * from "./schema";

export type AttributeValue = Json;
export type Attributes = Record<string, Json>;
