// Makes and patches elements. Text from anywhere becomes textContent, never markup: nothing on this page parses HTML.

import {number} from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An element: h("td", {class: "n"}, "text", child). Strings become text nodes. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);
export const byId = (id) => document.getElementById(id);

// Nothing is touched that is as it should be, so that what the reader has selected stays selected.
export function setText(node, text) {
  const value = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== value) node.textContent = value;
}
/** A figure; naught steps back. */
export function setCount(node, value) {
  setText(node, number(value));
  setClass(node, "naught", value === 0);
}
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}
export function setClass(node, name, on) {
  if (node.classList.contains(name) !== Boolean(on)) node.classList.toggle(name, Boolean(on));
}
export function show(node, on) {
  if (node.hidden === Boolean(on)) node.hidden = !on;
}

// The reader is in there: has the focus, the pointer or a selection.
function inUse(parent) {
  if (parent.contains(document.activeElement) || parent.matches(":hover")) return true;
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && parent.contains(selection.anchorNode));
}

/**
 * Makes the children of `parent` those of `items`, by key. `make(item)` returns an element, `update(element, item)` brings
 * it up to date. While the reader is in there nothing changes its place.
 */
export function patchList(parent, items, key, make, update) {
  const old = parent.rowsByKey ?? new Map();
  const now = new Map();
  for (const item of items) {
    const id = key(item);
    if (now.has(id)) continue;
    const node = old.get(id) ?? make(item);
    node.item = item;
    update(node, item);
    now.set(id, node);
  }
  for (const [id, node] of old) {
    if (now.has(id)) continue;
    const focused = node.contains(document.activeElement);
    node.remove();
    if (focused) parent.closest("[tabindex]")?.focus({preventScroll: true});
  }
  const stay = old.size > 0 && inUse(parent);
  let at = parent.firstElementChild;
  for (const node of now.values()) {
    if (node === at) at = at.nextElementSibling;
    else if (!stay || node.parentNode !== parent) parent.insertBefore(node, stay ? null : at);
  }
  parent.rowsByKey = now;
}

/**
 * Rows of a table. `columns`: [{label, class, head (a row header), cell(td, item, row)}]. The roles are said once more, for narrow
 * screens show each row as a card, and a table that is not laid out as one loses them.
 */
export function patchTable(body, columns, items, key) {
  const make = () =>
    h("tr", {role: "row"}, ...columns.map((column) =>
      h(column.head ? "th" : "td", {class: column.class, "data-label": column.label, role: column.head ? "rowheader" : "cell",
        scope: column.head ? "row" : null})));
  const update = (row, item) => columns.forEach((column, i) => column.cell(row.children[i], item, row));
  patchList(body, items, key, make, update);
}

/** The head of such a table, once. */
export function tableHead(table, columns) {
  setAttr(table, "role", "table");
  table.tHead.setAttribute("role", "rowgroup");
  table.tBodies[0].setAttribute("role", "rowgroup");
  table.tHead.replaceChildren(h("tr", {role: "row"}, ...columns.map((column) =>
    h("th", {class: column.class, role: "columnheader", scope: "col", title: column.about},
      column.hidden ? h("span", {class: "unseen"}, column.label) : column.label))));
}
