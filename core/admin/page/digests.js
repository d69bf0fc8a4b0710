// The table of statements: what ran where, why it goes to the primary, and what would change that.

import {h, byId, setText, setCount, setAttr, show, patchTable, tableHead} from "./dom.js";
import {get} from "./api.js";
import {number, milliseconds, percent, plural} from "./format.js";
import {REASONS, reasonText, changeText} from "./reasons.js";
import {button, mayAct} from "./actions.js";
import {askAbout} from "./route.js";

const kFetched = 500;
const kShown = 12;

// What it took of the primary, as if it took as long there as elsewhere.
const primaryTime = (digest) => digest.total_ms * digest.on_primary / Math.max(1, digest.on_primary + digest.on_replica);

/** The reason that keeps this class of statements on the primary; null: it may run on replicas and does. */
export function keeps(digest) {
  if (digest.verdict !== "read_safe") return digest.verdict;
  if (digest.on_primary === 0) return null;
  return digest.last_reason === "read_safe" ? null : digest.last_reason;
}

const columns = [
  {label: "Statement", class: "statement", head: true, cell(th, digest) {
    if (!th.firstChild) th.append(h("code"), h("small", {}, h("span"), " ", h("button", {type: "button", class: "quiet", onclick: () => askAbout(th.parentNode.item)}, "Ask where it goes")));
    setText(th.children[0], digest.text);
    setText(th.children[1].firstChild, `${digest.database} · ${digest.user}`);
  }},
  {label: "Where it runs, and why", class: "reason", cell(td, digest) {
    if (!td.firstChild) td.append(h("b"), h("span"), h("code"), h("p", {class: "change"}));
    const [where, why, path, change] = td.children;
    const reason = keeps(digest);
    const calls = digest.on_primary + digest.on_replica;
    setText(where, digest.on_replica === 0 ? "Primary" : digest.on_primary === 0 ? "Replicas" : `${percent(digest.on_replica, calls)} on replicas`);
    const blocks = reason === null && digest.held > 0 && digest.on_primary > 0
      ? "It may run on replicas; some of it ran inside a transaction or a tied session on the primary." : null;
    setText(why, blocks ?? (reason === null ? reasonText("read_safe") : `${reasonText(reason)}`));
    setText(path, reason === null ? "" : digest.path);
    show(path, path.textContent !== "");
    const advice = reason === null ? (blocks ? changeText("in_transaction") : null) : changeText(reason, digest.path);
    setText(change, advice ?? "");
    show(change, Boolean(advice));
  }},
  {label: "Calls", class: "n", cell: (td, digest) => setCount(td, digest.calls)},
  {label: "On replicas", class: "n", cell: (td, digest) => setText(td, percent(digest.on_replica, digest.on_primary + digest.on_replica))},
  {label: "Mean", class: "n", cell: (td, digest) => setText(td, milliseconds(digest.mean_ms))},
  {label: "Longest", class: "n", cell: (td, digest) => setText(td, milliseconds(digest.max_ms))},
  {label: "On primary", class: "n", about: "Time that it took of the primary", cell: (td, digest) => setText(td, milliseconds(digest.primary_ms))},
  {label: "Fell back", class: "n", about: "Reads that no replica could take, and reads that ran again on the primary",
    cell: (td, digest) => setCount(td, digest.fallbacks + digest.reruns)},
  {label: "Errors", class: "n", cell: (td, digest) => setCount(td, digest.errors)},
];

export class Digests {
  #all = [];
  #most = kShown;

  constructor() {
    this.table = byId("digests-table");
    tableHead(this.table, columns);
    for (const id of ["digests-sort", "digests-which", "digests-find"]) byId(id).addEventListener("input", () => (id === "digests-sort" ? this.refresh() : this.draw()));
    byId("digests-more").addEventListener("click", () => { this.#most += 50; this.draw(); });
    byId("digests-actions").append(button("Begin anew", "reset", () => null, "Count all statements anew"));
  }

  async refresh() {
    const report = await get(`/api/v1/digests?sort=${encodeURIComponent(byId("digests-sort").value)}&limit=${kFetched}`);
    this.#all = report.digests.map((digest) => ({...digest, primary_ms: primaryTime(digest)}));
    if (byId("digests-sort").value === "time") this.#all.sort((a, b) => b.primary_ms - a.primary_ms);
    this.report = report;
    this.draw();
  }

  draw() {
    if (!this.report) return;
    show(byId("digests-actions"), mayAct());
    const which = byId("digests-which").value, find = byId("digests-find").value.toLowerCase();
    const fits = this.#all.filter((digest) =>
      (which === "all" || (which === "primary" ? digest.on_primary > 0 : digest.on_primary > 0 && changeText(keeps(digest) ?? (digest.held > 0 ? "in_transaction" : ""), digest.path))) &&
      (find === "" || `${digest.text}\n${digest.database}\n${digest.user}\n${digest.verdict}\n${digest.path}`.toLowerCase().includes(find)));
    patchTable(this.table.tBodies[0], columns, fits.slice(0, this.#most), (digest) => `${digest.fingerprint} ${digest.database} ${digest.user} ${digest.text}`);
    const {known, evicted, uncounted, max_per_worker: max} = this.report;
    setText(byId("digests-note"), max === 0 ? "Digests are switched off: [digests] max = 0." :
      fits.length === 0 ? (known === 0 ? "Nothing has run yet." : "None of the statements fits.") :
      `${plural(Math.min(fits.length, this.#most), "class", "classes")} of ${number(known)}` + (evicted > 0 ? `; ${number(evicted)} seldom ones made room for others` : "") +
      (uncounted > 0 ? `; ${plural(uncounted, "call")} came too fast to be counted` : "") + ".");
    show(byId("digests-more"), fits.length > this.#most);
    this.#summary();
  }

  // What share stays on the primary, by reason: the first answer to "why is the primary so busy?"
  #summary() {
    const by = new Map();
    let all = 0;
    for (const digest of this.#all) {
      const time = digest.primary_ms;
      all += time;
      const reason = keeps(digest) ?? (digest.held > 0 ? "in_transaction" : "read_safe");
      by.set(reason, (by.get(reason) ?? 0) + time);
    }
    const top = [...by].sort((a, b) => b[1] - a[1]).filter(([, time]) => time > 0).slice(0, 4);
    setText(byId("digests-summary"), all > 0 ? "Time on the primary goes to: " + top.map(([reason, time]) => `${reason} ${percent(time, all)}`).join(", ") + "." : "");
    setAttr(byId("digests-summary"), "title", top.map(([reason]) => `${reason}: ${REASONS[reason]?.why ?? ""}`).join("\n"));
  }
}
