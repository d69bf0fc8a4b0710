// What /metrics says: parsed, and compared with what it said some seconds ago.

const kLine = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const kLabel = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;
const unescape = (text) => text.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
const kKept = 6;

/** Map: name -> [{labels, value}] */
export function parse(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    const match = line[0] === "#" ? null : kLine.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(kLabel)) labels[name] = unescape(value);
    if (!families.has(match[1])) families.set(match[1], []);
    families.get(match[1]).push({labels, value: Number(match[3])});
  }
  return families;
}

const sumBy = (families, name, label, where) => {
  const sums = new Map();
  for (const {labels, value} of families.get(name) ?? []) {
    if (!where(labels)) continue;
    const key = label ? labels[label] : "";
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return sums;
};
const everything = () => true;

/** The last samples of one process. A restart of Waypost begins anew. */
export class Series {
  #samples = [];

  /** True if it begins anew: the process is another one than before. */
  add(time, families) {
    const started = families.get("waypost_start_time_seconds")?.[0]?.value ?? 0;
    const last = this.#samples.at(-1);
    const anew = last !== undefined && last.started !== started;
    // After a pause the difference says nothing about now.
    if (anew || (last && time - last.time > 15000)) this.#samples = [];
    this.#samples.push({time, families, started});
    if (this.#samples.length > kKept) this.#samples.shift();
    return anew;
  }
  get ready() { return this.#samples.length > 1; }

  gauge(name, label, where = everything) {
    const now = this.#samples.at(-1);
    return now ? sumBy(now.families, name, label, where) : new Map();
  }

  /** Each second, over the last four seconds or so: value of `label` -> rate. Empty until there are two samples. */
  rates(name, label, where = everything) {
    return this.#differences(name, label, where, 3, true);
  }

  /** How much it has grown since the sample before. */
  growth(name, where = everything) {
    return this.#differences(name, null, where, 2, false).get("") ?? 0;
  }

  /** Milliseconds below which the share `q` stayed in the last ten seconds; null if nothing was counted. */
  quantile(name, q, where = everything) {
    const deltas = this.#differences(name + "_bucket", "le", where, kKept, false);
    const buckets = [...deltas].map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count]).sort((a, b) => a[0] - b[0]);
    const all = buckets.at(-1)?.[1] ?? 0;
    if (all <= 0) return null;
    let below = 0, bound = 0;
    for (const [le, count] of buckets) {
      if (count >= q * all) {
        if (le === Infinity) return bound * 1000;
        return 1000 * (count > below ? bound + (le - bound) * (q * all - below) / (count - below) : le);
      }
      [below, bound] = [count, le];
    }
    return bound * 1000;
  }

  #differences(name, label, where, samples, perSecond) {
    if (!this.ready) return new Map();
    const now = this.#samples.at(-1), then = this.#samples.at(-Math.min(samples, this.#samples.length));
    const seconds = perSecond ? (now.time - then.time) / 1000 : 1;
    const before = sumBy(then.families, name, label, where);
    return new Map([...sumBy(now.families, name, label, where)].map(([key, value]) =>
      [key, Math.max(0, value - (before.get(key) ?? 0)) / seconds]));
  }
}
