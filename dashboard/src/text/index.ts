/**
 * Every word of the page, in English. Another language is another object of the type `Messages`.
 *
 * Numbers and times come in formatted; where a word follows a number, it has its one and its many. `ticks` mark
 * code, and {names} in braces mark places that <Rich> fills with links and the like.
 */

import * as frame from "./frame";
import * as alerting from "./alerting";
import { definitions } from "./definitions";
import * as pages from "./pages";
import * as problems from "./problems";
import * as terms from "./terms";

export const text = { ...frame, ...pages, ...problems, ...alerting, ...terms, definitions };

export type Messages = typeof text;
