// A small line or area chart in SVG, with a legend that says the figures in words. It remembers what it was given while the page
// is open, and draws the last minutes of it.

import {h, svg, setText, setAttr, setClass, show} from "./dom.js";
import {clock} from "./format.js";

const kKeptMs = 61 * 60 * 1000;
const kLeastMs = 60 * 1000;  // that a chart shows
const kGapMs = 8000;  // nothing is drawn across a longer silence
const kMostPoints = 300;
const kLeft = 46, kRight = 8, kTop = 8, kBottom = 20;

// 1, 2 or 5 times a power of ten, at least `value`.
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value * 0.999);
}

export class Chart {
  #points = [];  // {time, values: Map(name -> number or null)}
  #lines = [];   // names, in the order in which they came
  #frame = 0;
  #cursor = null;  // time at the pointer
  #spanMs = 5 * 60 * 1000;  // at most

  /**
   * `options`: title, about, stacked, format(value), lines (names that are known from the start), label(name),
   * colour(name, index) -> 1..8, floor: the least that the scale shows, empty: what to say when there is nothing.
   */
  constructor(parent, options) {
    this.options = {label: (name) => name, colour: (_, i) => (i % 8) + 1, floor: 0, lines: [], ...options};
    const id = "chart-" + options.title.toLowerCase().replace(/[^a-z]+/g, "-");
    this.plot = svg("svg", {class: "plot", role: "img", focusable: "false", "aria-labelledby": id, "aria-describedby": id + "-about"});
    this.grid = svg("g", {class: "grid"});
    this.shapes = svg("g");
    this.pointer = svg("line", {class: "pointer", visibility: "hidden"});
    this.plot.append(this.grid, this.shapes, this.pointer);
    this.legend = h("ul", {class: "legend"});
    this.when = h("span", {class: "when"});
    this.figure = h("figure", {class: "chart"},
      h("figcaption", {}, h("h3", {id}, options.title), this.when, h("p", {id: id + "-about", class: "about"}, options.about)),
      this.plot, this.legend);
    parent.append(this.figure);
    this.options.lines.forEach((name) => this.#line(name));
    new ResizeObserver(() => this.draw()).observe(this.plot);
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", () => { this.#cursor = null; this.draw(); });
  }

  set minutes(value) { this.#spanMs = value * 60000; this.draw(); }

  push(time, values) {
    for (const name of values.keys()) this.#line(name);
    this.#points.push({time, values});
    while (this.#points[0].time < time - kKeptMs) this.#points.shift();
    this.draw();
  }

  draw() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => { this.#frame = 0; this.#draw(); });
  }

  #line(name) {
    if (this.#lines.some((line) => line.name === name)) return;
    const colour = "c" + this.options.colour(name, this.#lines.length);
    const dashed = this.options.dashed?.(name);
    const shape = svg("path", {class: `${this.options.stacked ? "area" : "stroke"} ${colour}${dashed ? " dashed" : ""}`});
    const value = h("b", {}, "–");
    const row = h("li", {}, h("i", {class: `swatch ${colour}${dashed ? " dashed" : ""}`, "aria-hidden": "true"}), h("span", {}, this.options.label(name)), " ", value);
    this.#lines.push({name, shape, value, row});
    this.shapes.prepend(shape);  // the first of a stack is drawn last, over the others
    this.legend.append(row);
  }

  #point(event) {
    const box = this.plot.getBoundingClientRect();
    const share = (event.clientX - box.left - kLeft) / (box.width - kLeft - kRight);
    this.#cursor = (this.#points.at(-1)?.time ?? 0) - this.span * (1 - share);
    this.draw();
  }

  #draw() {
    const width = this.plot.clientWidth, height = this.plot.clientHeight;
    if (width === 0) return;
    const end = this.#points.at(-1)?.time ?? Date.now();
    // A short history fills the width.
    this.span = Math.min(this.#spanMs, Math.max(kLeastMs, end - (this.#points[0]?.time ?? end)));
    let shown = this.#points.filter((point) => point.time >= end - this.span);
    const stride = Math.ceil(shown.length / kMostPoints);
    if (stride > 1) shown = shown.filter((_, i) => (shown.length - 1 - i) % stride === 0);
    const rows = this.#lines.map((line) => shown.map((point) => point.values.get(line.name) ?? null));
    if (this.options.stacked)
      for (let i = 1; i < rows.length; ++i) rows[i] = rows[i].map((value, k) => (value ?? 0) + (rows[i - 1][k] ?? 0));
    const top = ceiling(Math.max(this.options.floor, ...rows.flat().map((value) => value ?? 0)));
    const x = (time) => kLeft + (width - kLeft - kRight) * (1 - (end - time) / this.span);
    const y = (value) => height - kBottom - (height - kTop - kBottom) * (value / top);
    this.#drawGrid(width, height, top, y, end);
    const gap = kGapMs * stride;
    this.#lines.forEach((line, i) => setAttr(line.shape, "d", this.options.stacked
      ? area(shown, rows[i], i > 0 ? rows[i - 1] : null, x, y, gap) : stroke(shown, rows[i], x, y, gap)));
    this.#drawLegend(shown, x, height);
  }

  #drawGrid(width, height, top, y, end) {
    const lines = [0, top / 2, top].flatMap((value) => [
      svg("line", {x1: kLeft, x2: width - kRight, y1: y(value), y2: y(value)}),
      svg("text", {x: kLeft - 6, y: y(value) + 4, "text-anchor": "end"}, this.options.format(value)),
    ]);
    const label = (time) => clock(new Date(time)).slice(-8, this.span < 10 * 60000 ? undefined : -3);
    this.grid.replaceChildren(...lines,
      svg("text", {x: kLeft, y: height - 5}, label(end - this.span)),
      svg("text", {x: width - kRight, y: height - 5, "text-anchor": "end"}, label(end)));
  }

  #drawLegend(shown, x, height) {
    let point = shown.at(-1);
    if (this.#cursor !== null && shown.length > 0)
      point = shown.reduce((best, one) => (Math.abs(one.time - this.#cursor) < Math.abs(best.time - this.#cursor) ? one : best));
    const pointing = this.#cursor !== null && point !== undefined;
    setAttr(this.pointer, "visibility", pointing ? "visible" : "hidden");
    if (pointing) for (const [name, value] of [["x1", x(point.time)], ["x2", x(point.time)], ["y1", kTop], ["y2", height - kBottom]]) setAttr(this.pointer, name, value);
    setText(this.when, pointing ? "at " + clock(new Date(point.time)) : "");
    for (const line of this.#lines) {
      const value = point?.values.get(line.name);
      setText(line.value, value === null || value === undefined ? "–" : this.options.format(value));
      setClass(line.row, "none", !value);
      // What never was is not worth a line.
      show(line.row, this.options.lines.includes(line.name) || this.#points.some((one) => one.values.get(line.name)));
    }
  }
}

// Runs of points without a gap and without a missing value: [[index, ...], ...]
function runs(points, values, gap) {
  const all = [];
  points.forEach((point, i) => {
    if (values[i] === null) return;
    const last = all.at(-1);
    if (last && last.at(-1) === i - 1 && point.time - points[i - 1].time <= gap) last.push(i);
    else all.push([i]);
  });
  return all;
}

const at = (x, y) => `${x.toFixed(1)},${y.toFixed(1)}`;

function stroke(points, values, x, y, gap) {
  return runs(points, values, gap).map((run) =>
    "M" + run.map((i) => at(x(points[i].time), y(values[i]))).join("L") + (run.length === 1 ? "h1" : "")).join("");
}

function area(points, values, below, x, y, gap) {
  return runs(points, values, gap).filter((run) => run.length > 1).map((run) =>
    "M" + run.map((i) => at(x(points[i].time), y(values[i]))).join("L") + "L" +
    [...run].reverse().map((i) => at(x(points[i].time), y(below?.[i] ?? 0))).join("L") + "Z").join("");
}
