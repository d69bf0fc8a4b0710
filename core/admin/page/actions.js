// What changes something: each asks first, in a dialog that says what will happen. Who may is Waypost's decision; the page only
// hides what would be refused.

import {h, byId, setText, show} from "./dom.js";
import {getIfThere, send, forgetWhatIsThere} from "./api.js";
import {plural} from "./format.js";

const rank = {viewer: 1, operator: 2, admin: 3};
let me = null;
let changed = () => {};

export const mayAct = () => (rank[me?.role] ?? 0) >= rank.operator;

const path = (...parts) => "/api/v1/" + parts.map(encodeURIComponent).join("/");

// Each: title, what happens, the word on the button, fields, and the request.
const ACTIONS = {
  drain: (server) => out(server, "drain", {
    title: `Drain ${server.name}?`, go: "Drain", done: `${server.name} is being drained.`,
  }),
  maintenance: (server) => out(server, "maintenance", {
    title: `Take ${server.name} out for maintenance?`, go: "Take out", done: `${server.name} is in maintenance.`,
    more: `While it is in maintenance, nothing that happens to ${server.name} counts as a fault.`,
  }),
  activate: (server) => ({
    title: `Use ${server.name} again?`,
    happens: [`Waypost sends statements to ${server.name} as soon as it has caught up.`],
    go: "Activate",
    run: () => send("PATCH", path("servers", server.name), {intent: "active"}),
    done: `${server.name} is active.`,
  }),
  pause: () => ({
    title: "Pause the cluster?",
    happens: ["Statements wait in Waypost, as in a fail-over; those beyond max_held fail. What has begun goes on to its end.", "After the limit Waypost resumes by itself."],
    choice: {name: "what", label: "What waits", options: [["writes", "What would begin on the primary, except single reads"], ["all", "All statements"]]},
    fields: [{name: "limit_s", label: "Limit in seconds", value: 60, most: 3600, about: ""}],
    go: "Pause", risky: true,
    run: (values) => send("POST", path("cluster", "pause"), values),
    done: "The cluster is paused.",
  }),
  resume: () => ({
    title: "Resume?",
    happens: ["The statements that wait go on now."],
    go: "Resume",
    run: () => send("POST", path("cluster", "resume")),
    done: "The cluster goes on.",
  }),
  cancel: (session) => ({
    title: `Cancel what session ${session.id} runs?`,
    happens: [`The statement of ${who(session)} ends with an error (57014), as if its client had cancelled it. The session goes on.`],
    statement: session.statement,
    go: "Cancel the statement", keep: "Keep it running",
    run: () => send("POST", path("sessions", session.id, "cancel")),
    done: `Session ${session.id}: cancel was sent.`,
  }),
  end: (session) => ({
    title: `End session ${session.id}?`,
    happens: [`${who(session)} gets an error (57P01) and is disconnected. An open transaction is rolled back; what the session holds (temporary tables, locks) is gone.`],
    statement: session.statement,
    go: "End the session", risky: true,
    run: () => send("DELETE", path("sessions", session.id)),
    done: `Session ${session.id} was ended.`,
  }),
  reset: () => ({
    title: "Forget all statements counted so far?",
    happens: ["The table of statements begins anew. Metrics and routing are not touched."],
    go: "Forget them",
    run: () => send("DELETE", path("digests")),
    done: "The statements are counted anew.",
  }),
};

function out(server, intent, {more, ...said}) {
  return {
    ...said,
    happens: [
      `No read begins on ${server.name} any more: reads go to the other replicas, and to the primary if none is left.`,
      `What runs there goes on to its end` + (server.sessions ? ` (${plural(server.sessions, "session holds", "sessions hold")} a connection of it)` : "") +
        "; idle connections close at once. At the deadline the others are closed too, and their reads run elsewhere.",
      ...(more ? [more] : []),
      "This stays so, over restarts of Waypost too, until you activate it.",
    ],
    fields: [{name: "deadline_s", label: "Deadline in seconds", value: 300, most: 86400, about: "empty: none"}],
    run: (values) => send("PATCH", path("servers", server.name), {intent, ...values}),
  };
}

const who = (session) => `${session.user ?? "?"} (${session.application_name || "no application name"}, ${session.client ?? "?"})`;

/** A button that asks and acts. `item()` gives what it is about, at the moment of the click. */
export function button(label, action, item = () => null, name = null) {
  return h("button", {type: "button", class: "act", "aria-label": name, onclick: () => ask(ACTIONS[action](item()))}, label);
}

/** Says `text` to the reader, by ear too. */
export function tell(text) {
  setText(byId("told"), text);
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => setText(byId("told"), ""), 8000);
}

function ask(action) {
  const dialog = byId("ask");
  setText(byId("ask-title"), action.title);
  byId("ask-happens").replaceChildren(...action.happens.map((text) => h("p", {}, text)));
  setText(byId("ask-statement"), action.statement ?? "");
  show(byId("ask-statement"), Boolean(action.statement));
  const choice = action.choice ? [h("fieldset", {}, h("legend", {}, action.choice.label), ...action.choice.options.map(([value, label], i) =>
    h("label", {}, h("input", {type: "radio", name: action.choice.name, value, checked: i === 0}), " ", label)))] : [];
  byId("ask-fields").replaceChildren(...choice, ...(action.fields ?? []).map(({name, label, value, most, about}) =>
    h("label", {}, label, " ", h("input", {type: "number", name, value, min: 1, max: most, step: 1, inputmode: "numeric", required: about === ""}), about ? h("small", {}, " " + about) : null)));
  setText(byId("ask-go"), action.go);
  byId("ask-go").classList.toggle("risky", Boolean(action.risky));
  setText(byId("ask-keep"), action.keep ?? "Leave it as it is");
  setText(byId("ask-error"), "");
  const form = byId("ask-form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const values = {};
    for (const [name, value] of new FormData(form)) if (value !== "") values[name] = name.endsWith("_s") ? Number(value) : value;
    byId("ask-go").disabled = true;
    try {
      await action.run(values);
      dialog.close();
      tell(action.done);
      changed();
    } catch (error) {
      setText(byId("ask-error"), error.message);
      if (error.status === 401) learnWhoIAm();
    } finally {
      byId("ask-go").disabled = false;
    }
  };
  dialog.showModal();
  byId("ask-keep").focus();
}

/** Asks Waypost who the reader is; a Waypost that does not know roles lets nobody change anything. */
export async function learnWhoIAm() {
  try {
    me = await getIfThere("/api/v1/me");
  } catch {
    return;  // no contact: page.js tells
  }
  const known = me !== null;
  show(byId("who"), known);
  setText(byId("who-role"), !known ? "" : rank[me.role] ? (me.name && me.name !== me.role ? `${me.name}: ${me.role}` : me.role) : "not logged in");
  show(byId("login-open"), known && me.via !== "session" && !mayAct());
  show(byId("logout"), known && me.via === "session");
  changed();
}

export function startActions(onChange) {
  changed = onChange;
  byId("ask-keep").addEventListener("click", () => byId("ask").close());
  const dialog = byId("login");
  byId("login-open").addEventListener("click", () => { setText(byId("login-error"), ""); dialog.showModal(); });
  byId("login-keep").addEventListener("click", () => dialog.close());
  byId("login-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = byId("token");
    try {
      await send("POST", "/api/v1/login", {token: field.value.trim()});
      dialog.close();
      forgetWhatIsThere();
      await learnWhoIAm();
      tell("You are logged in.");
    } catch (error) {
      setText(byId("login-error"), error.message);
      field.select();
    }
  });
  dialog.addEventListener("close", () => { byId("token").value = ""; });
  byId("logout").addEventListener("click", async () => {
    try { await send("POST", "/api/v1/logout"); } catch (error) { tell(error.message); }
    forgetWhatIsThere();
    learnWhoIAm();
  });
  return learnWhoIAm();
}
