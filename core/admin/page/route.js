// The box to ask where a statement goes.

import {h, byId, setText, show} from "./dom.js";
import {send} from "./api.js";
import {reasonText, changeText, PINS} from "./reasons.js";

const path = (steps) => (steps.length > 0 ? h("ol", {class: "path"}, ...steps.map((step) => h("li", {}, h("code", {}, step)))) : null);
const fact = (label, ...value) => [h("dt", {}, label), h("dd", {}, ...value)];

function answer(found) {
  const change = found.target === "primary" ? changeText(found.reason, found.path.join("; ")) : null;
  const facts = [
    ...fact("Why", `${reasonText(found.reason)} `, h("small", {}, found.reason)),
    ...(found.path.length > 0 ? fact("How Waypost knows", path(found.path)) : []),
    ...(found.no_replica.length > 0 ? fact("No replica can take it", path(found.no_replica)) : []),
    ...(change ? fact("What would change that", change) : []),
    ...(found.pin ? fact("It ties the session", `by ${PINS[found.pin]?.[0] ?? found.pin}. What ends it: ${PINS[found.pin]?.[1] ?? "?"}.`) : []),
  ];
  const where = {primary: "to the primary", replica: "to a replica", held: "to the connection that the session holds", refused: "nowhere: it is refused"}[found.target] ?? found.target;
  const parts = [h("p", {class: "target"}, `It goes ${where}` + (found.server ? `, now ${found.server}.` : "."))];
  parts.push(h("dl", {}, ...facts));
  if (found.statements.length > 1) {
    parts.push(h("p", {}, "All of them go together, as one message. By itself each would be:"));
    parts.push(h("ol", {}, ...found.statements.map((one) => h("li", {}, h("code", {}, one.sql), " ", h("span", {}, `${one.class}: ${reasonText(one.reason)}`), path(one.path)))));
  }
  return parts;
}

async function ask() {
  const out = byId("route-answer");
  const question = {sql: byId("route-sql").value};
  for (const name of ["database", "user", "application_name", "search_path"]) {
    const value = byId("route-" + name).value.trim();
    if (value !== "") question[name] = value;
  }
  try {
    out.replaceChildren(...answer(await send("POST", "/api/v1/route", question)));
  } catch (error) {
    out.replaceChildren(h("p", {class: "error"}, error.message));
  }
}

/** Puts a class of statements into the box. Its literals are gone: "?" stands for each, which no grammar knows. */
export function askAbout(digest) {
  byId("route-sql").value = digest.text.replace(/\?/g, "NULL");
  byId("route-database").value = digest.database;
  byId("route-user").value = digest.user;
  byId("ask-route").scrollIntoView({block: "start"});
  byId("route-sql").focus({preventScroll: true});
  show(byId("route-literals"), digest.text.includes("?"));
  ask();
}

export function startRoute() {
  byId("route-form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  byId("route-sql").addEventListener("input", () => show(byId("route-literals"), false));
  byId("route-sql").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); }
  });
  setText(byId("route-literals"), "NULL stands where the statement's own values were.");
}
