/** The words around every page: navigation, ranges, states, keys. */

export const name = "asgiscope";

export const nav = {
  overview: "Overview",
  findings: "Findings",
  finding: "Finding",
  contention: "Contention",
  traces: "Traces",
  trace: "Trace",
  middleware: "Middleware",
  releases: "Releases",
  alerts: "Alerts",
  views: "Views",
  notFound: "Not found",
  skip: "Skip to content",
  keys: "Keys",
  keysTitle: "Keyboard shortcuts (?)",
  signOut: "Sign out",
};

export const scope = {
  label: "What is shown",
  service: "Service",
  allServices: "All services",
  environment: "Environment",
  allEnvironments: "All environments",
  theme: "Theme",
  themes: { system: "System", light: "Light", dark: "Dark" },
  copy: "Copy link",
  copied: "Link copied",
  notCopied: "Copying was not allowed: the link is in the address bar",
};

const span = (one: string, many: string) => (value: number): string => (value === 1 ? one : `${value} ${many}`);

export const range = {
  label: "Time range",
  change: (shown: string) => `Time range: ${shown}. Change it`,
  last: (shown: string) => `Last ${shown}`,
  fromTo: (from: string, to: string) => `${from} to ${to}`,
  units: {
    s: span("second", "s"),
    m: span("minute", "min"),
    h: span("hour", "hours"),
    d: span("day", "days"),
    w: span("week", "weeks"),
  },
  earlier: "Earlier",
  later: "Later",
  wider: "Twice as long",
  toNow: "Back to now",
  quick: "Quick ranges",
  absolute: "From and to",
  from: "From",
  to: "To",
  example: "2026-11-21 13:00, 13:00 or now-6h",
  apply: "Show",
  unread: "This is no time. Write 2026-11-21 13:00, 13:00 or now-6h.",
  reversed: "From must be before to.",
  zone: "Times in",
  zones: { local: "Local time", utc: "UTC" },
  marks: {
    live: { name: "Live", meaning: "New data is stored, and shown automatically" },
    quiet: { name: "No new data", meaning: "Nothing has been stored for a while; new data is shown automatically" },
    past: { name: "Past", meaning: "A range of the past: nothing new can show up in it" },
    cut: { name: "Cut off", meaning: "The collector does not answer: nothing new shows up" },
  },
};

export const api = {
  silent: "The collector does not answer.",
  slow: (seconds: number) => `The collector took longer than ${seconds} s to answer.`,
  silentHint: "See whether `asgiscope-collector serve` still runs, and what it printed last.",
  notJson: "The answer is not JSON.",
  notJsonHint: "Something between this page and the collector answers in its place: a proxy or a login page.",
  status: (line: string) => `The collector answered ${line}.`,
  statusHint: "See its log for details.",
  unread: (why: string) => `The page could not read the answer: ${why}`,
  unreadHint: "Reload the page.",
};

export const states = {
  loading: (what: string) => `Loading ${what} …`,
  again: "Try again",
  noView: "There is no such view",
  noViewHint: "There is no such page. Go to the {overview}.",
  noViewLink: "overview",
  broken: "This view failed",
  brokenHint: (why: string) => `${why}. The rest of the page still works; the browser's console has the details.`,
  disconnected: (at: string) => `The collector has not answered since ${at}.`,
  disconnectedHint: (least: number, most: number) =>
    `What is shown is from before then. This page asks again every ${least} to ${most} seconds. See whether ` +
    "`asgiscope-collector serve` still runs.",
  noData: (what: string, range: string) => `No ${what} in this range (${range})`,
  longer: "Look at the last 7 days",
  longerOr: "{longer}, or send some data:",
  install: "Install it beside Django:",
  switchOn: "Switch it on, in settings.py:",
  start: "Start the site as ever, and say where to send:",
  orDemo: "Or fill it with a shop that has problems, from a checkout of the source: `make demo`.",
  arrives: "This page updates every few seconds.",
  storeTitle: "The collector reports problems:",
};

/** Of lists that show a part of what there is. */
export const lists = {
  cut: (order: string, shown: string, total: string) => `Cut: ${order} ${shown} of ${total} are shown.`,
  most: (shown: string) => `The ${shown} that cost most; there may be more.`,
  orders: {
    cost: "the most expensive",
    newest: "the newest",
    change: "what changed most,",
    traffic: "the most frequent",
    waited: "the rows that waited longest,",
    held: "the columns that were waited for longest,",
  },
  names: (shown: string) => `only ${shown} are listed`,
};

/** Senders whose clocks are off, and names that are too many to keep apart. */
export const senders = {
  title: "Look at the senders:",
  ahead: (who: string, by: string) => `The clock of ${who} is ${by} ahead of the collector's.`,
  behind: (who: string, by: string) => `The clock of ${who} is ${by} behind the collector's, or it sends what is that old.`,
  kept: "Its data has the times of its clock:",
  show: "show it",
  host: (service: string, host: string) => `${service} on ${host}`,
  unnamed: "a service without a name",
  more: (count: string) => `The clocks of ${count} more are off.`,
  other: (count: string, what: string) =>
    `${count} ${what} of one minute are more than are kept apart: they are summed as (other), the most expensive keep their names.`,
  otherMeaning: "Names beyond what is kept apart of one minute: the sum of all of them.",
  kinds: {
    route: "routes", "call site": "call sites", call: "calls", link: "links", release: "releases", service: "services",
  } as Readonly<Record<string, string>>,
};

export const store = {
  refusing: (why: string) => `What is sent is refused: ${why}`,
  disk: (free: string, total: string, least: string) =>
    `The disk fills: ${free} of ${total} are free; with less than ${least}, what is sent is refused.`,
  spool: (size: string, share: string) => `The store does not keep up: ${size} wait to be stored, ${share} of what may.`,
};

export const signIn = {
  title: "Sign in",
  why: "This collector requires you to sign in.",
  name: "Name",
  password: "Password",
  submit: "Sign in",
  busy: "Signing in …",
  provider: "Sign in with your organisation",
  forgotten: "Forgot the password? The collector's administrator can set a new one.",
  as: (name: string) => `Signed in as ${name}`,
};

export const keys = {
  title: "Keyboard",
  key: "Key",
  does: "Does",
  everywhere: "Everywhere",
  lists: "In lists",
  timeline: "In a trace's timeline",
  close: "Close",
  go: (view: string) => `Go to ${view}`,
  next: "Next row; Enter opens it",
  previous: "Previous row",
  back: "Up: from one thing back to its list",
  range: "Change the time range",
  copy: "Copy a link to what is shown",
  help: "Show this list",
  search: "Search",
  pan: "Pan",
  zoom: "Zoom in and out",
  fit: "Show all of it",
  spans: "Next and previous span",
  fill: "Let the selected span fill the view",
  deselect: "Deselect",
  critical: "Only the critical path",
};

/** A noun after one, and after any other number. */
export const nouns = {
  request: ["request", "requests"],
  message: ["message", "messages"],
  task: ["task", "tasks"],
  finding: ["finding", "findings"],
  pool: ["pool", "pools"],
  chain: ["chain", "chains"],
  span: ["span", "spans"],
  route: ["route", "routes"],
  process: ["process", "processes"],
  call: ["call", "calls"],
  hop: ["hop", "hops"],
  alert: ["alert", "alerts"],
  attempt: ["attempt", "attempts"],
  release: ["release", "releases"],
} as const;

export const times = {
  justNow: "just now",
  ahead: (time: string) => `in ${time}`,
  seconds: (n: number) => `${n}\u202fs ago`,
  minutes: (n: number) => `${n}\u202fmin ago`,
  hours: (n: number) => `${n}\u202fh ago`,
  days: (n: number) => `${n}\u202fd ago`,
};
