// Asks Waypost every two seconds while somebody looks, and tells the parts of the page.

import {h, byId, setText, setAttr, setClass, show, patchList} from "./dom.js";
import {get, getText, getIfThere, forgetWhatIsThere} from "./api.js";
import {parse, Series} from "./metrics.js";
import {Chart} from "./chart.js";
import {faultsOf, whyNoReads, Since} from "./verdict.js";
import {Cluster} from "./cluster.js";
import {Digests} from "./digests.js";
import {Sessions, Pools} from "./sessions.js";
import {Events} from "./events.js";
import {startRoute} from "./route.js";
import {startActions, learnWhoIAm, mayAct, button, tell} from "./actions.js";
import {clock, duration, number, milliseconds, plural} from "./format.js";

const kEveryMs = 2000;
const kSlowEveryMs = 6000;
const kLostAfter = 2;  // failures in a row

const series = new Series();
const since = new Since(sessionStorage);
const cluster = new Cluster();
const digests = new Digests();
const pools = new Pools();
const events = new Events();
const sessions = new Sessions(() => tick());
let failures = 0, lastAnswer = null, lost = null, slowAt = 0, running = false, timer = 0, faultsShown = "";

// --- charts ---------------------------------------------------------------------------------------------------------

const perSecond = (value) => number(value) + " /s";
const targets = ["replica", "primary", "held", "refused"];
const targetColour = (name) => ({replica: 1, primary: 2, held: 3, refused: 7})[name] ?? 8;
const chartsBox = byId("charts-grid");
const make = (options) => new Chart(chartsBox, options);
const quantiles = (metric, label, values) => new Map(values.flatMap((value) => [
  [`${value}, half`, series.quantile(metric, 0.5, (labels) => labels[label] === value)],
  [`${value}, 99 %`, series.quantile(metric, 0.99, (labels) => labels[label] === value)],
]));

const charts = [
  {chart: make({title: "Statements", about: "By where they went", stacked: true, format: perSecond, lines: targets.slice(0, 2), colour: targetColour,
    label: (name) => ({held: "held connection"})[name] ?? name, floor: 1}), values: () => series.rates("waypost_queries_total", "target")},
  {chart: make({title: "On the primary, by reason", about: "What the primary runs, and why", stacked: true, format: perSecond, floor: 1}),
    values: () => grown(series.rates("waypost_queries_total", "reason", (labels) => labels.target === "primary"))},
  {chart: make({title: "Time to answer", about: "From a batch's last byte to its answer; dashed: half of them", format: milliseconds, floor: 1,
    lines: ["replica, 99 %", "primary, 99 %"], colour: (name) => targetColour(name.split(",")[0]), dashed: (name) => name.endsWith("half")}),
    values: () => quantiles("waypost_query_duration_seconds", "target", ["replica", "primary"])},
  {chart: make({title: "Proof of freshness", about: "How long reads waited for it", format: milliseconds, floor: 1, lines: ["99 %", "half"], dashed: (name) => name === "half", colour: () => 1}),
    values: () => new Map([["99 %", series.quantile("waypost_fence_wait_seconds", 0.99)], ["half", series.quantile("waypost_fence_wait_seconds", 0.5)]])},
  {chart: make({title: "Reads proved fresh", about: "What became of them", stacked: true, format: perSecond, floor: 1, lines: ["confirmed", "ready"],
    label: (name) => ({confirmed: "confirmed at once", ready: "replica was ready", waited: "waited for a replica", fell_back: "fell back to the primary", gave_up: "gave up"})[name] ?? name,
    colour: (name) => ({confirmed: 1, ready: 5, waited: 3, fell_back: 2, gave_up: 7})[name] ?? 8}),
    values: () => series.rates("waypost_fenced_reads_total", "outcome")},
  {chart: make({title: "Server connections", about: "Busy, by server, and sessions that wait for one", format: number, floor: 5}),
    values: () => new Map([...series.gauge("waypost_server_connections", "server", (labels) => labels.state === "active"), ["waiting sessions", total(series.gauge("waypost_pool_waiting", "server"))]])},
  {chart: make({title: "Replay lag", about: "As the primary measures it", format: (value) => milliseconds(value * 1000), floor: 0.01}),
    values: () => series.gauge("waypost_replication_lag_seconds", "server")},
  {chart: make({title: "Clients", about: "By what they do", stacked: true, format: number, floor: 5, lines: ["active", "idle"],
    label: (name) => name.replaceAll("_", " "), colour: (name) => ({active: 1, waiting: 7, idle_in_transaction: 3, idle: 8})[name] ?? 5}),
    values: () => reorder(series.gauge("waypost_client_connections", "state"), ["active", "waiting", "idle_in_transaction", "idle"])},
  {chart: make({title: "Errors", about: "Sent to clients, by who raised them", format: perSecond, floor: 1, lines: ["server", "proxy"], stacked: true,
    label: (name) => ({server: "by PostgreSQL", proxy: "by Waypost"})[name] ?? name, colour: (name) => (name === "proxy" ? 7 : 3)}),
    values: () => series.rates("waypost_errors_total", "origin")},
];

const total = (map) => [...map.values()].reduce((a, b) => a + b, 0);
const reorder = (map, names) => new Map(names.filter((name) => map.has(name)).map((name) => [name, map.get(name)]));
// Of some forty reasons few ever occur.
const seen = new Set();
function grown(map) {
  for (const [name, value] of map) if (value > 0) seen.add(name);
  return new Map([...map].filter(([name]) => seen.has(name)));
}

byId("minutes").addEventListener("input", (event) => charts.forEach(({chart}) => { chart.minutes = Number(event.target.value); }));

// --- what is wrong --------------------------------------------------------------------------------------------------

// What was already so when the page began to look may have been so for long.
const when = ({since: from, atLeast}, now) =>
  `since ${atLeast ? "at least " : ""}${clock(new Date(from))} (${duration((now - from) / 1000)})`;

function showVerdict(status, servers, clusterState) {
  const now = Date.now();
  const faults = faultsOf({status, servers, cluster: clusterState, series, began: (server, kind) => events.began(server, kind)});
  const well = since.mark(faults, now);
  const worst = faults[0]?.level ?? "ok";
  const verdict = byId("verdict");
  for (const level of ["bad", "warn", "ok"]) setClass(verdict, level, level === (worst === "note" ? "ok" : worst));
  const real = faults.filter((fault) => fault.level !== "note");
  const headline = real.length === 0 ? "All is well" : worst === "bad" && !status.ready ? "Statements cannot be served" : plural(real.length, "thing is", "things are") + " not as it should be".replace("it", real.length === 1 ? "it" : "they");
  setText(byId("headline"), headline);
  setText(byId("verdict-mark"), real.length === 0 ? "✓" : worst === "bad" ? "✕" : "!");
  const replicas = servers.filter((server) => server.role === "replica");
  setText(byId("summary"), `${status.primary ? `${status.primary} is the primary` : "Waypost promotes no server; it goes on as soon as there is a primary"}; ${replicas.length === 0 ? "there is no replica" :
    status.read_from === "none" ? "read_from = \"none\" keeps the reads there" :
    `${number(replicas.filter((server) => !whyNoReads(server, status.read_from)).length)} of ${plural(replicas.length, "replica")} may be read from`}.` + (well ? ` All well ${when(well, now)}.` : ""));
  patchList(byId("faults"), faults, (fault) => fault.key, () => h("li", {}, h("span"), h("small")), (item, fault) => {
    setAttr(item, "class", fault.level);
    setText(item.children[0], fault.text);
    setText(item.children[1], when(fault, now));
  });
  show(byId("faults"), faults.length > 0);
  // Said aloud only when something came or went, not each second.
  const heard = [headline, ...real.map((fault) => fault.key)].join("\n");
  if (heard !== faultsShown) setText(byId("heard"), [headline, ...real.map((fault) => fault.text)].join(". "));
  faultsShown = heard;
  tab(real.length === 0 ? "ok" : worst, real.length === 0 ? "Waypost" : `${real[0].server ?? headline} – Waypost`);
}

// The tab tells it too.
function tab(level, title) {
  const text = {ok: "✓ ", warn: "! ", bad: "✕ ", lost: "? "}[level] + title;
  if (document.title !== text) document.title = text;
  const fill = {ok: "%230a7d4b", warn: "%23b26b00", bad: "%23c4262e", lost: "%23777"}[level];
  setAttr(byId("icon"), "href", `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='${fill}'/></svg>`);
}

// --- contact --------------------------------------------------------------------------------------------------------

function answered(now) {
  if (lost !== null) tell(`Waypost answers again after ${duration((now - lost) / 1000)}.`);
  [failures, lost, lastAnswer] = [0, null, now];
  contact();
}

function unanswered(error) {
  failures += error.timedOut ? kLostAfter : 1;
  if (failures >= kLostAfter && lost === null) lost = lastAnswer ?? Date.now();
  setText(byId("lost-why"), error.message);
  if (lost !== null) tab("lost", "No contact – Waypost");
  contact();
}

// What was well then need not be well now.
function unknown(headline, summary) {
  for (const level of ["bad", "warn", "ok"]) setClass(byId("verdict"), level, false);
  setText(byId("verdict-mark"), "?");
  setText(byId("headline"), headline);
  setText(byId("summary"), summary);
  faultsShown = "";
}

// Waypost answers, but not to somebody whom it does not know.
function locked(message) {
  [failures, lost, lastAnswer] = [0, null, Date.now()];
  unknown("Log in to see the cluster", message);
  tab("lost", "Waypost");
  contact();
}

function contact() {
  show(byId("lost"), lost !== null);
  if (lost !== null) unknown("Not known", lastAnswer === null ? "" : `What follows is as of ${clock(new Date(lastAnswer))}.`);
  setClass(document.body, "stale", lost !== null);
  if (lost !== null) {
    setText(byId("lost-since"), lastAnswer === null ? "It has not answered since this page was opened." : `Since ${clock(new Date(lost))}.`);
    setText(byId("lost-for"), duration((Date.now() - lost) / 1000));
  }
  setClass(byId("contact"), "off", lost !== null);
  setText(byId("contact-text"), lost !== null ? "no contact" : lastAnswer === null ? "asking ..." : "as of " + clock(new Date(lastAnswer)));
}

// --- the round ------------------------------------------------------------------------------------------------------

async function round() {
  const [status, {servers}, metrics, state] = await Promise.all([
    get("/api/v1/status"), get("/api/v1/servers"), getText("/metrics"), getIfThere("/api/v1/cluster")]);
  const now = Date.now();
  answered(now);
  if (series.add(now, parse(metrics))) {
    tell("Waypost was restarted.");
    forgetWhatIsThere();
    learnWhoIAm();
  }
  if (series.ready) for (const {chart, values} of charts) chart.push(now, values());
  setText(byId("version"), status.version);
  showVerdict(status, servers, state);
  cluster.update({status, servers, series, mayAct: mayAct()});
  sessions.pins(series);
  showPause(state);
  if (now - slowAt < kSlowEveryMs - 100) return;
  slowAt = now;
  await Promise.all([digests, sessions, pools, events].map((part) => part.refresh()));
}

function showPause(state) {
  show(byId("cluster-actions"), state !== null && mayAct());
  show(byId("pause"), !state?.paused);
  show(byId("resume"), Boolean(state?.paused));
}

async function tick() {
  clearTimeout(timer);
  if (document.hidden || running) return;
  running = true;
  try {
    await round();
  } catch (error) {
    if (error.status === undefined) throw error;  // a fault of this page
    if (error.status === 401 || error.status === 403) locked(error.message);
    else unanswered(error);
  } finally {
    running = false;
    timer = setTimeout(tick, kEveryMs);
  }
}

byId("cluster-actions").append(button("Pause ...", "pause"), button("Resume", "resume"));
byId("cluster-actions").children[0].id = "pause";
byId("cluster-actions").children[1].id = "resume";
document.addEventListener("visibilitychange", () => { if (!document.hidden) { slowAt = 0; tick(); } });
setInterval(() => { if (!document.hidden) contact(); }, 1000);
startRoute();
startActions(() => { slowAt = 0; tick(); });
tick();
