// What happened, the latest first.

import {h, byId, setText, setAttr, show, patchList} from "./dom.js";
import {getIfThere} from "./api.js";
import {clock} from "./format.js";

const kShown = 100;

export class Events {
  #known = [];

  /** When that happened to the server last (ms); null if it is not among the latest events. */
  began(server, kind) {
    const event = this.#known.find((one) => one.server === server && one.kind === kind);
    return event ? Date.parse(event.time) : null;
  }

  async refresh() {
    const report = await getIfThere(`/api/v1/events?limit=${kShown}`);
    show(byId("events"), report !== null);
    show(byId("nav-events"), report !== null);
    if (report === null) return;
    this.#known = [...(report.events ?? [])].sort((a, b) => Number(b.id) - Number(a.id));
    setText(byId("events-note"), this.#known.length === 0 ? "Nothing has happened since Waypost started." : "");
    patchList(byId("events-items"), this.#known, (event) => String(event.id), make, update);
  }
}

const make = () => h("li", {}, h("time"), h("b"), h("span"));
function update(item, event) {
  const [time, level, text] = item.children;
  setAttr(item, "class", event.level);
  setAttr(time, "datetime", event.time);
  setText(time, clock(new Date(event.time)));
  setText(level, event.level === "info" ? event.kind : `${event.level}: ${event.kind}`);
  setText(text, event.text);
}
