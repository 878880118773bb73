/** The API's types as the page names them; all come from schema.ts, which is made of the collector's models. */

import type { Json } from "./schema";

export type * from "./schema";

export type AttributeValue = Json;
export type Attributes = Record<string, Json>;
