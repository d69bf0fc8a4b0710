// What is wrong, the worst first, and since when. Pure, but for what it remembers of each fault: when it was first seen.

import {plural, milliseconds, bytes, clock} from "./format.js";

const kLagMs = 5000;
const kLagBytes = 64 << 20;
const kPauseMs = 30000;

/** Why a replica takes no reads under the configuration's read_from; "": it takes them. Users and databases may have another one. */
export function whyNoReads(server, readFrom) {
  if (server.eligible) return "";
  if (readFrom !== "streaming") return server.ineligible_why ?? "not known";
  return server.why_not?.streaming?.eventual ?? "";
}

/** Faults now: [{key, level: "bad" | "warn" | "note", text, server, began (ms, if that is known)}]. `facts`: {status, servers, cluster, series, began(server, kind)}. */
export function faultsOf({status, servers, cluster, series, began}) {
  const faults = [];
  const add = (level, key, text, server, began) => faults.push({level, key, text, server, began});
  if (status.draining) add("warn", "draining", "Waypost is shutting down: it takes no new clients.");
  else if (!status.ready) add("bad", "not-ready", sentence(status.warnings[0] ?? "no primary is known"));
  if (cluster?.paused) {
    const {what, held, since, until} = cluster.paused;
    add("warn", "paused", `${what === "all" ? "All statements are" : "Writes are"} paused until ${clock(new Date(until))} at the latest` +
      (held ? `; ${plural(held, "statement waits", "statements wait")}.` : "."), undefined, Date.parse(since));
  }
  servers.forEach((server) => serverFaults(server, status.read_from, add, began));
  if (status.held_statements > 0 && !cluster?.paused)
    add("warn", "held", `${plural(status.held_statements, "statement waits", "statements wait")} for a primary.`);
  if (series.ready && series.growth("waypost_stale_reads_total") > 0)
    add("bad", "stale", "self_check has just found a stale answer of a replica. The log (stale_read) names the statement.");
  if (status.failover_lost_bytes > 0)
    add("warn", "lost", `At the last fail-over ${bytes(status.failover_lost_bytes)} of WAL did not reach the present primary.`);
  for (const warning of status.warnings) {
    const said = (!status.ready && warning === status.warnings[0]) || warning.startsWith("the present primary was promoted without") ||
      servers.some((server) => server.error && warning === `${server.name}: ${server.error}`);
    if (!said) add("warn", "warning " + warning.replace(/\d+/g, "#"), sentence(warning));
  }
  const rank = {bad: 0, warn: 1, note: 2};
  return faults.sort((a, b) => rank[a.level] - rank[b.level]);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!]$/.test(text) ? "" : ".");

function serverFaults(server, readFrom, add, began) {
  const name = server.name, noReads = whyNoReads(server, readFrom);
  const planned = server.intent && server.intent !== "active";
  if (planned) add("note", `${name} intent`, `${name} is ${intentText(server.intent)} by an administrator's order.`, name);
  if (!server.up) {
    add(planned ? "note" : "bad", `${name} down`, `${name} is down: ${server.error ?? "it does not answer"}.`, name, began(name, "server_down"));
  } else if (server.error && !planned) {
    add("bad", `${name} error`, `${name}: ${server.error}.`, name);
  } else if (server.role === "replica" && noReads && !planned && noReads !== "no primary is known") {
    add("warn", `${name} out`, `${name} takes no reads: ${noReads}.`, name, began(name, "replica_ineligible"));
  }
  if (server.up && server.lag_ms > kLagMs) add("warn", `${name} lag`, `${name} is ${milliseconds(server.lag_ms)} behind the primary.`, name);
  else if (server.up && server.lag_bytes > kLagBytes) add("warn", `${name} lag`, `${name} is ${bytes(server.lag_bytes)} of WAL behind the primary.`, name);
  const waiting = server.connections?.waiting_sessions ?? 0;
  if (waiting > 0) add("warn", `${name} full`, `${plural(waiting, "session waits", "sessions wait")} for a connection to ${name}.`, name);
  for (const {database, user, error} of server.refuses ?? [])
    add("warn", `${name} refuses ${database} ${user}`, `${name} refuses the log-in of ${user} to ${database}: ${error}.`, name);
}

export const intentText = (intent) => ({drain: "being drained", maintenance: "in maintenance"}[intent] ?? intent);

/** Remembers since when each fault is there, over reloads of the page too. */
export class Since {
  #seen = new Map();
  #looked = 0;
  constructor(store) {
    this.store = store;
    try {
      const {looked, seen} = JSON.parse(store.getItem("since"));
      [this.#looked, this.#seen] = [looked, new Map(seen)];
    } catch { /* nothing is remembered */ }
  }
  /**
   * Adds `since` (ms) to each, and `atLeast` if it was there before anybody looked. The answer: since when all has been well, or null.
   * What was while nobody looked is not known, so a longer pause begins anew.
   */
  mark(faults, now) {
    const first = now - this.#looked > kPauseMs;
    if (first) this.#seen.clear();
    this.#looked = now;
    const seen = new Map();
    for (const fault of faults) {
      // Some tell themselves when they began.
      const entry = fault.began ? {since: fault.began, atLeast: false} : this.#seen.get(fault.key) ?? {since: now, atLeast: first};
      seen.set(fault.key, entry);
      Object.assign(fault, entry);
    }
    // All is well since the last fault ended.
    const well = faults.some((fault) => fault.level !== "note") ? null : this.#seen.get("") ?? {since: now, atLeast: first};
    if (well) seen.set("", well);
    this.#seen = seen;
    try { this.store.setItem("since", JSON.stringify({looked: now, seen: [...seen]})); } catch { /* no storage: it is forgotten at a reload */ }
    return well;
  }
}
