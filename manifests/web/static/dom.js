// Build elements. Texts become text nodes: no string is ever parsed as markup.

/**
 * Make an element.
 * @param {string} tag  such as "p", or "p.note.small" with classes.
 * @param {object} props  attributes; `on` maps events to listeners, `prop` sets properties.
 * @param {...(Node|string|null|false)} children
 */
export function h(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.classList.add(...classes);
  const { on = {}, prop = {}, ...attributes } = props;
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  Object.assign(element, prop);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.flat(3).filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

/** Replace all children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M7 5h3.6v14H7zM13.4 5H17v14h-3.6z",
  check: "M4.5 12.5l5 5 10-11",
  pen: "M4 20l1-4.5L16.5 4 20 7.5 8.5 19z",
  cross: "M6 6l12 12M18 6L6 18",
  flag: "M6 21V4h11l-2 4 2 4H6",
  span: "M5 5v14M19 5v14M8 12h8",
  undo: "M9 7L4.5 11.5 9 16M5 11.5h9a5 5 0 010 10",
  next: "M5 12h14M13 6l6 6-6 6",
  back: "M19 12H5M11 6l-6 6 6 6",
};
const FILLED = new Set(["play", "pause"]);

/** Make an icon that screen readers skip. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  path.setAttribute("class", FILLED.has(name) ? "filled" : "stroked");
  svg.append(path);
  return svg;
}

/** Make a button with a label and the key that does the same. */
export function button(label, { key = "", symbol = "", ...props } = {}, act = () => {}) {
  return h("button", { type: "button", "aria-keyshortcuts": key || null, ...props, on: { click: act } },
    symbol && icon(symbol), h("span.label", {}, label), key && h("kbd", { "aria-hidden": "true" }, key));
}

/** Show a short message; with `undo`, a button beside it. */
export function toast(text, { undo = null, wrong = false } = {}) {
  const box = document.querySelector("dialog[open]") ?? document.querySelector("#toasts");
  const note = h(wrong ? "div.toast.wrong" : "div.toast", {}, h("span", {}, text));
  if (undo) note.append(button("Undo", { key: "U" }, () => { note.remove(); undo(); }));
  box.append(note);
  while (box.id && box.children.length > 3) box.firstElementChild.remove();
  setTimeout(() => note.remove(), wrong ? 9000 : 4500);
}

/**
 * Show a modal dialog; resolves with what `close(value)` was given, or null after Escape.
 * One for `reading` has the focus at its title: it begins at its top, and keys scroll it.
 */
export function dialog(title, build, { wide = false, reading = false } = {}) {
  return new Promise((resolve) => {
    let result = null;
    const heading = `dialog-${Math.random().toString(36).slice(2)}`;
    const element = h(wide ? "dialog.wide" : "dialog", { "aria-labelledby": heading });
    const close = (value = null) => { result = value; element.close(); };
    element.append(h("h2", { id: heading, tabindex: reading ? -1 : null }, title), ...[build(close, element)].flat(2).filter(Boolean));
    element.addEventListener("close", () => { element.remove(); resolve(result); });
    element.addEventListener("click", (event) => { if (event.target === element) close(); });
    document.body.append(element);
    element.showModal();
    element.querySelector(reading ? "h2" : "[autofocus]")?.focus();
  });
}

/** Whether a dialog is open, which has the keys then. */
export const dialogIsOpen = () => document.querySelector("dialog[open]") !== null;

/** Format seconds, such as 1:02.50 or 3.04 s. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 60) return `${value.toFixed(2)} s`;
  return `${Math.floor(value / 60)}:${(value % 60).toFixed(2).padStart(5, "0")}`;
}

/** Format a number with few digits. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
}

/** Make a random id of 32 hexadecimal digits, with which a decision can be sent twice. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
