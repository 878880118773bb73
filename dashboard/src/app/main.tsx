/** Starts the page. */

import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./controls.css";
import "./trace.css";
import "./pages.css";
import { Shell } from "./shell";

const root = document.getElementById("app");
if (root === null) throw new Error("index.html has no #app to draw into.");
render(<Shell />, root);
