// The picture: clients, Waypost, servers, and what flows between them.

import {h, svg, byId, setText, setAttr, setClass, show, patchList} from "./dom.js";
import {number, milliseconds, bytes, duration, plural, percent} from "./format.js";

import {button} from "./actions.js";
import {whyNoReads} from "./verdict.js";

const sum = (map) => [...map.values()].reduce((a, b) => a + b, 0);

// In one word, and why: ["ok" | "warn" | "bad" | "off", word, why]
function stateOf(server, readFrom) {
  const intent = server.intent ?? "active";
  if (!server.up) return [intent === "maintenance" ? "off" : "bad", "down", server.error ?? "it does not answer"];
  if (server.error) return ["bad", "error", server.error];
  if (intent === "maintenance") return ["off", "in maintenance", "an administrator took it out"];
  if (intent === "drain") return ["off", "draining", drainText(server.draining)];
  if (server.role === "primary") return ["ok", "takes writes", ""];
  if (server.role !== "replica") return ["warn", "role unknown", server.ineligible_why ?? ""];
  const why = whyNoReads(server, readFrom);
  if (why) return ["warn", "takes no reads", why];
  return readFrom === "none" ? ["off", "takes no reads", "read_from = \"none\": Waypost only counts what could move"] : ["ok", "takes reads", ""];
}

const drainText = (draining) => (draining && draining.left !== undefined
  ? (draining.left > 0 ? `${plural(draining.left, "connection")} still to finish` : "empty: it can be stopped now") : "it takes nothing new");

function lagText(server) {
  if (server.role !== "replica" || !server.up) return "";
  if (server.lag_ms === null || server.lag_ms === undefined) return "lag not known without a primary";
  if (server.lag_bytes === 0) return "has replayed everything";
  return `${milliseconds(server.lag_ms)} behind, ${bytes(server.lag_bytes)} of WAL`;
}

function makeCard() {
  const part = (name, tag = "p") => h(tag, {class: name});
  const card = h("li", {class: "server card"});
  const parts = {title: part("title", "h3"), role: part("role", "span"), state: part("state"), why: part("why"), lag: part("lag"), rate: part("rate"),
    connections: part("connections"), address: part("address"), actions: h("p", {class: "actions"})};
  parts.bar = svg("svg", {class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true"},
    svg("rect", {class: "full", width: 100, height: 4}), svg("rect", {class: "part", width: 0, height: 4}));
  parts.drain = button("Drain", "drain", () => card.item);
  parts.maintenance = button("Maintenance", "maintenance", () => card.item);
  parts.activate = button("Activate", "activate", () => card.item);
  parts.actions.append(parts.drain, parts.maintenance, parts.activate);
  card.append(h("div", {class: "line"}, h("div", {class: "name"}, parts.title, parts.role), parts.state), parts.why, parts.lag, h("div", {class: "line"}, parts.rate, parts.connections), parts.bar,
    h("div", {class: "line"}, parts.address, parts.actions));
  card.parts = parts;
  return card;
}

function updateCard(card, server, {rates, readFrom, mayAct}) {
  const {parts} = card;
  const [kind, word, why] = stateOf(server, readFrom);
  for (const one of ["ok", "warn", "bad", "off"]) setClass(card, one, one === kind);
  setClass(card, "primary", server.role === "primary");
  setText(parts.title, server.name);
  setText(parts.role, server.role === "unknown" ? "role unknown" : server.role + (server.role === "replica" && server.sync_state && server.sync_state !== "none" ? ` · ${server.sync_state}` : ""));
  setText(parts.state, word);
  setText(parts.why, why);
  show(parts.why, why !== "");
  const lag = lagText(server);
  setText(parts.lag, lag);
  show(parts.lag, lag !== "");
  setText(parts.rate, `${number(rates.get(server.name) ?? 0)} /s`);
  const {active = 0, busy = active, idle = 0, max = 0, waiting_sessions: waiting = 0} = server.connections ?? {};
  setText(parts.connections, `${number(busy)} of ${number(max)} connections busy, ${number(idle)} idle` + (waiting > 0 ? `, ${plural(waiting, "session waits", "sessions wait")}` : ""));
  setAttr(parts.bar.lastElementChild, "width", max > 0 ? Math.min(100, 100 * busy / max) : 0);
  setText(parts.address, `${server.host}:${server.port}`);
  const intent = server.intent;
  show(parts.actions, mayAct && intent !== undefined);
  show(parts.drain, intent === "active" && server.role !== "primary");  // Waypost refuses that
  show(parts.maintenance, intent !== "maintenance" && server.role !== "primary");
  show(parts.activate, intent !== "active");
}

export class Cluster {
  #drawn = "";

  constructor() {
    this.picture = byId("picture");
    this.lines = byId("flows");
    new ResizeObserver(() => this.#draw()).observe(this.picture);
  }

  update({status, servers, series, mayAct}) {
    const clients = status.clients;
    const {active, waiting, idle, idle_in_transaction: inTransaction} = clients;
    setText(byId("clients-count"), number(active + waiting + idle + inTransaction));
    setText(byId("clients-states"), [[active, "active"], [waiting, "waiting"], [inTransaction, "idle in transaction"], [idle, "idle"]]
      .filter(([count]) => count > 0).map(([count, state]) => `${number(count)} ${state}`).join(", "));
    setText(byId("clients-max"), `of at most ${number(clients.max)}`);
    const targets = series.rates("waypost_queries_total", "target");
    const all = sum(targets);
    setText(byId("total-rate"), series.ready ? number(all) : "–");
    setText(byId("replica-share"), all > 0 ? `${percent(targets.get("replica") ?? 0, all)} on replicas` : "");
    const p99 = series.quantile("waypost_query_duration_seconds", 0.99);
    setText(byId("latency-now"), p99 === null ? "" : `99 % within ${milliseconds(p99)}`);
    const pinned = sum(series.gauge("waypost_sessions_pinned", "reason"));
    setText(byId("pinned-now"), pinned > 0 ? `${plural(pinned, "session")} tied to a connection` : "");
    setText(byId("held-now"), status.held_statements > 0 ? `${plural(status.held_statements, "statement")} held` : "");
    setText(byId("process-now"), `up ${duration(status.uptime_seconds)}, ${plural(status.workers, "worker")}`);
    const rates = series.rates("waypost_backend_queries_total", "server");
    this.rates = rates;
    this.servers = servers;
    // The primary first, the others in the order of the configuration.
    const order = [...servers].sort((a, b) => (b.role === "primary") - (a.role === "primary"));
    patchList(byId("servers"), order, (server) => server.name, makeCard, (card, server) => updateCard(card, server, {rates, readFrom: status.read_from, mayAct}));
    this.#draw();
  }

  // The flows: as wide as what goes there.
  #draw() {
    const frame = this.picture.getBoundingClientRect();
    const way = byId("waypost-box").getBoundingClientRect(), from = byId("clients-box").getBoundingClientRect();
    const paths = [];
    if (this.servers && way.left > from.right) {  // not one above the other
      const most = Math.max(1, ...this.rates.values());
      const line = (x1, y1, x2, y2, kind, share) => {
        const middle = (x1 + x2) / 2;
        paths.push([`M${x1},${y1}C${middle},${y1} ${middle},${y2} ${x2},${y2}`, kind, (1.5 + 6 * share).toFixed(1)]);
      };
      const y = (box) => Math.round(box.top + box.height / 2 - frame.top);
      line(from.right - frame.left, y(from), way.left - frame.left, y(way), "ok", Math.max(0, ...this.rates.values()) > 0 ? 1 : 0);
      for (const card of byId("servers").children) {
        const box = card.getBoundingClientRect();
        if (box.left < way.right) continue;
        const kind = ["bad", "warn", "off"].find((one) => card.classList.contains(one)) ?? "ok";
        line(way.right - frame.left, y(way), box.left - frame.left, y(box), kind, (this.rates.get(card.item.name) ?? 0) / most);
      }
    }
    const drawn = JSON.stringify([paths, frame.width, frame.height].map((x) => (typeof x === "number" ? Math.round(x) : x)));
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    setAttr(this.lines, "viewBox", `0 0 ${Math.round(frame.width)} ${Math.round(frame.height)}`);
    this.lines.replaceChildren(...paths.map(([d, kind, width]) => svg("path", {d, class: "flow " + kind, "stroke-width": width})));
  }
}

