// Sessions, what ties them, and the pools that they share.

import {h, byId, setText, setCount, show, patchTable, patchList, tableHead} from "./dom.js";
import {getIfThere} from "./api.js";
import {number, duration, plural, milliseconds} from "./format.js";
import {PINS, reasonText} from "./reasons.js";
import {button, mayAct} from "./actions.js";

const kLimit = 100;
const ago = (time, now) => (time ? duration((now - Date.parse(time)) / 1000) : "–");

const sessionColumns = [
  {label: "Session", head: true, cell: (th, session) => setText(th, session.id)},
  {label: "Who", class: "who", cell(td, session) {
    if (!td.firstChild) td.append(h("span"), h("small"));
    setText(td.children[0], `${session.user} · ${session.database}`);
    setText(td.children[1], [session.application_name, session.client].filter(Boolean).join(" · "));
  }},
  {label: "State", cell(td, session) {
    if (!td.firstChild) td.append(h("span"), h("small"));
    setText(td.children[0], session.state);
    setText(td.children[1], "for " + ago(session.state_since, sessionColumns.now));
  }},
  {label: "Server", cell: (td, session) => setText(td, session.server ?? "–")},
  {label: "Tied by", cell(td, session) {
    if (!td.firstChild) td.append(h("span"), h("small"));
    const [what, end] = PINS[session.pin] ?? [session.pin, ""];
    setText(td.children[0], session.pin ? what : "–");
    setText(td.children[1], session.pin && end ? "ends with: " + end : "");
  }},
  {label: "Statement", class: "statement", cell(td, session) {
    if (!td.firstChild) td.append(h("code"), h("small"));
    setText(td.children[0], session.statement ?? "–");
    setText(td.children[1], session.target ? `${session.target}: ${reasonText(session.reason)}` : "");
  }},
  {label: "Connected", class: "n", cell: (td, session) => setText(td, ago(session.connected_at, sessionColumns.now))},
  {label: "Batches", class: "n", cell: (td, session) => setCount(td, session.statements ?? 0)},
  {label: "Actions", class: "do", hidden: true, cell(td, session, row) {
    if (!td.firstChild) td.append(button("Cancel", "cancel", () => row.item, `Cancel what session ${session.id} runs`), button("End", "end", () => row.item, `End session ${session.id}`));
    show(td.children[0], mayAct() && session.state === "active");
    show(td.children[1], mayAct());
  }},
];

const poolColumns = [
  {label: "Server", head: true, cell: (th, pool) => setText(th, pool.server)},
  {label: "Database", cell: (td, pool) => setText(td, pool.database)},
  {label: "User", cell: (td, pool) => setText(td, pool.user)},
  {label: "Worker", class: "n", cell: (td, pool) => setText(td, pool.worker)},
  {label: "Busy", class: "n", cell: (td, pool) => setCount(td, pool.busy)},
  {label: "Idle", class: "n", cell: (td, pool) => setCount(td, pool.idle)},
  {label: "Opening", class: "n", cell: (td, pool) => setCount(td, pool.connecting)},
  {label: "Waiting", class: "n", cell: (td, pool) => setCount(td, pool.waiting)},
  {label: "Longest wait", class: "n", cell: (td, pool) => setText(td, pool.waiting > 0 ? milliseconds(pool.longest_wait_s * 1000) : "–")},
  {label: "At most", class: "n", cell: (td, pool) => setText(td, pool.max > 0 ? number(pool.max) : "no bound")},
];

export class Sessions {
  #offset = 0;

  constructor(onChange) {
    tableHead(byId("sessions-table"), sessionColumns);
    for (const id of ["sessions-state", "sessions-pinned", "sessions-user", "sessions-database"])
      byId(id).addEventListener("input", () => { this.#offset = 0; onChange(); });
    byId("sessions-next").addEventListener("click", () => { this.#offset += kLimit; onChange(); });
    byId("sessions-back").addEventListener("click", () => { this.#offset = Math.max(0, this.#offset - kLimit); onChange(); });
  }

  /** From the metrics, which are always there. */
  pins(series) {
    const pins = [...series.gauge("waypost_sessions_pinned", "reason")].filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
    setText(byId("pins-note"), pins.length === 0 ? "No session is tied to a server connection." : "Tied to a server connection, which nobody else can use meanwhile:");
    patchList(byId("pins"), pins, ([reason]) => reason, () => h("li"), (item, [reason, count]) => {
      const [what, end] = PINS[reason] ?? [reason, "?"];
      setText(item, `${plural(count, "session")} by ${what}. What ends it: ${end}.`);
    });
  }

  async refresh() {
    const wanted = new URLSearchParams({limit: kLimit, offset: this.#offset});
    for (const [name, id] of [["state", "sessions-state"], ["user", "sessions-user"], ["database", "sessions-database"]])
      if (byId(id).value.trim() !== "") wanted.set(name, byId(id).value.trim());
    if (byId("sessions-pinned").checked) wanted.set("pinned", "true");
    const report = await getIfThere("/api/v1/sessions?" + wanted);
    show(byId("sessions-list"), report !== null);
    show(byId("sessions-none"), report === null);
    if (report === null) return;
    sessionColumns.now = Date.now();
    patchTable(byId("sessions-table").tBodies[0], sessionColumns, report.sessions, (session) => session.id);
    const last = this.#offset + report.sessions.length;
    setText(byId("sessions-note"), report.total === 0 ? "No session fits." :
      report.total === report.sessions.length ? plural(report.total, "session") + "." : `${number(this.#offset + 1)} to ${number(last)} of ${plural(report.total, "session")}.`);
    show(byId("sessions-back"), this.#offset > 0);
    show(byId("sessions-next"), last < report.total);
  }
}

export class Pools {
  constructor() {
    tableHead(byId("pools-table"), poolColumns);
  }
  async refresh() {
    const report = await getIfThere("/api/v1/pools");
    show(byId("pools"), report !== null);
    show(byId("nav-pools"), report !== null);
    if (report === null) return;
    // Those in which somebody waits first.
    const pools = [...report.pools].sort((a, b) => b.waiting - a.waiting || b.busy - a.busy || `${a.server} ${a.database}`.localeCompare(`${b.server} ${b.database}`));
    patchTable(byId("pools-table").tBodies[0], poolColumns, pools, (pool) => [pool.worker, pool.server, pool.user, pool.database].join("\n"));
    setText(byId("pools-note"), pools.length === 0 ? "No pool has been used yet." : "");
  }
}
