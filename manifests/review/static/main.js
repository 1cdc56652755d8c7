// Start the page: the session, the header, and the view that the address names.

import { ApiError, login, Offline, onConnection, openSession, session } from "./api.js";
import { showHelp, showSettings } from "./dialogs.js";
import { button, fill, h, toast } from "./dom.js";
import { bind, EVERYWHERE, unbindView } from "./keys.js";
import { applyTheme } from "./settings.js";
import { compareView } from "./compare.js";
import { disagreementsView } from "./disagreements.js";
import { figuresView } from "./figures.js";
import { clipView, queueView } from "./queue.js";
import { searchView } from "./search.js";

const VIEWS = { queue: queueView, clip: clipView, search: searchView, compare: compareView, disagreements: disagreementsView, figures: figuresView };
const TABS = [["queue", "Queue", "q"], ["search", "Search", "/"], ["compare", "Compare", "c"], ["disagreements", "Disagreements", "d"], ["figures", "Figures", "v"]];
const main = document.querySelector("#main");
let current = null, turn = 0;

/** The parts of the address: view, argument and parameters, as in #/clip/ID?stratum=near. */
export function parseHash(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view = "", argument = ""] = path.split("/");
  return { view: view in VIEWS ? view : "queue", argument: decode(argument), params: new URLSearchParams(query) };
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

async function route() {
  const mine = ++turn;
  const place = parseHash();
  current?.leave?.();
  current = null;
  unbindView();
  header(place.view);
  main.setAttribute("aria-busy", "true");
  fill(main, h("p.quiet.loading", {}, "Loading…"));
  try {
    const view = await VIEWS[place.view]({ main, argument: place.argument, params: place.params, isCurrent: () => mine === turn });
    if (mine === turn) current = view;
    else view?.abandon?.(); // another view was asked for meanwhile, and has the keys
  } catch (error) {
    if (mine === turn) fail(error);
  }
  if (mine === turn) main.setAttribute("aria-busy", "false");
}

function fail(error) {
  if (!(error instanceof ApiError || error instanceof Offline)) throw error;
  const message = error instanceof Offline ? "The server does not answer. This page goes on when it is back." : error.message;
  fill(main, h("section.empty", {}, h("h1", {}, "This cannot be shown"), h("p", {}, message), h("div.row", {}, button("Try again", { class: "primary" }, route), h("a", { href: "#/queue/all" }, "Back to the queue"))));
}

function header(view) {
  const tab = ([name, label, key]) => h("a", { href: name === "queue" ? "#/queue" : `#/${name}`, "aria-current": name === view || (name === "queue" && view === "clip") ? "page" : null, title: `${label} (G then ${key.toUpperCase()})` }, label);
  fill(document.querySelector("#top"),
    h("a.mark", { href: "#/queue", "aria-label": "Kinora review" }, h("strong", {}, "Kinora"), h("span", {}, " review")),
    h("nav", { "aria-label": "Views" }, TABS.map(tab)),
    h("div.tools", {}, h("span.dataset", { title: session.dataset }, session.dataset.split("/").filter(Boolean).slice(-1)[0] ?? ""),
      h("button.name", { type: "button", "aria-label": `Settings of ${session.reviewer}`, on: { click: settingsDialog } }, session.reviewer),
      h("button.help-button", { type: "button", "aria-label": "Keys", "aria-keyshortcuts": "?", on: { click: showHelp } }, "?")));
}

async function settingsDialog() {
  if (await showSettings()) {
    current?.leave?.();
    current = null;
    await route();
  }
}

let pending = 0;
const go = (name) => () => { location.hash = name === "queue" ? "#/queue" : `#/${name}`; };

bind(EVERYWHERE, [
  ["?", "Show the keys", showHelp],
  ["g", "Then Q, C, D, V or S: queue, compare, disagreements, figures, search", () => { clearTimeout(pending); pending = setTimeout(() => bind("After G", []), 1500); bind("After G", AFTER_G); }],
  ["/", "Search", () => { if (parseHash().view === "search") document.querySelector("#search-text")?.focus(); else location.hash = "#/search"; }],
]);
const AFTER_G = [["q", "queue"], ["c", "compare"], ["d", "disagreements"], ["v", "figures"], ["s", "search"]].map(([key, name]) =>
  [key, "", () => { bind("After G", []); go(name)(); }]);

onConnection((online) => {
  const banner = document.querySelector("#banner");
  banner.hidden = online;
  banner.textContent = online ? "" : "The server does not answer. What you typed is kept in this browser; decisions are sent when it is back.";
  if (online) {
    toast("The server is back.");
    if (current) current.back?.();
    else route();
  }
});

function loginPage() {
  const token = h("input", { type: "password", required: true, autocomplete: "current-password", autofocus: true });
  const name = h("input", { type: "text", required: true, maxlength: 64, autocomplete: "name" });
  const wrong = h("p.wrong", { role: "alert" });
  const enter = async (event) => {
    event.preventDefault();
    try {
      await login(token.value.trim(), name.value.trim());
      begin();
    } catch (error) {
      wrong.textContent = error.message;
    }
  };
  fill(main, h("form.login", { on: { submit: enter } }, h("h1", {}, "Review"), h("p.quiet", {}, "`kinora review` printed the token when it was first started."),
    h("label.field", {}, h("span", {}, "Token"), token), h("label.field", {}, h("span", {}, "Your name"), name), wrong,
    h("div.row", {}, h("button.primary", { type: "submit" }, "Enter"))));
  token.focus();
}

function begin() {
  addEventListener("hashchange", route);
  route();
}

addEventListener("beforeunload", () => current?.leave?.());
addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof ApiError) toast(event.reason.message, { wrong: true });
  else if (!(event.reason instanceof Offline)) return;
  event.preventDefault(); // while the server is away, the banner says so
});
applyTheme();
try {
  const about = await openSession();
  if (about.needs_token) loginPage();
  else begin();
} catch (error) {
  addEventListener("hashchange", route);
  fail(error);
}
