// Keyboard shortcuts. Views bind theirs in a scope; the help overlay lists what is bound.

import { dialogIsOpen } from "./dom.js";

const scopes = new Map();
export const EVERYWHERE = "Everywhere";

/**
 * Bind the keys of a scope, in place of those that it had.
 * @param {string} scope  heading in the help overlay.
 * @param {Array<[string, string, Function]>} bindings  key such as "a", "Shift+.", "Ctrl+Enter"; what it does; what to call.
 */
export function bind(scope, bindings) {
  scopes.delete(scope);
  if (bindings.length) scopes.set(scope, bindings);
}

/** Unbind all keys but those that work everywhere: the view that had them is left. */
export function unbindView() {
  for (const scope of [...scopes.keys()]) if (scope !== EVERYWHERE) scopes.delete(scope);
}

/** All bindings by scope, for the help overlay. */
export const bound = () => [...scopes].map(([scope, bindings]) => [scope, bindings.filter(([, about]) => about)]);

/** Whether typing goes into this element. */
export function isTextField(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  return target.matches("input") && !["checkbox", "radio", "range", "button", "submit"].includes(target.type);
}

function nameOf(event) {
  const key = event.key.length === 1 ? event.key : event.key === " " ? "Space" : event.key;
  const name = key === " " ? "Space" : key.length === 1 && /[A-Z]/.test(key) && !event.shiftKey ? key.toLowerCase() : key;
  const modifiers = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (event.altKey ? "Alt+" : "");
  if (/^[A-Z]$/.test(name)) return `${modifiers}Shift+${name.toLowerCase()}`;
  return modifiers + (name.length > 1 && event.shiftKey ? `Shift+${name}` : name);
}

/** Digit keys by their place, so that Alt+1 works on every layout. */
const digitOf = (event) => (/^Digit[0-9]$/.test(event.code) ? event.code.slice(5) : "");

// After a click, Space and Enter belong to the page again. A click by key has no detail.
addEventListener("click", (event) => {
  if (event.detail > 0 && event.target instanceof Element) event.target.closest("button, summary")?.blur();
});

addEventListener("keydown", (event) => {
  if (event.isComposing || dialogIsOpen()) return;
  const inField = isTextField(event.target);
  const name = event.altKey && digitOf(event) ? `Alt+${digitOf(event)}` : nameOf(event);
  if (inField && name === "Escape") {
    event.target.blur();
    document.querySelector("#main").focus({ preventScroll: true });
    event.preventDefault();
    return;
  }
  if (inField && !/^(Ctrl\+(Enter|s)|Alt\+[0-9])$/.test(name)) return;
  const onControl = event.target instanceof HTMLElement && event.target.matches("button, a, summary, [role=tab]");
  if (onControl && (name === "Space" || name === "Enter")) return;
  if (event.target instanceof HTMLElement && event.target.matches("input[type=range]") && /^Arrow|^Home|^End/.test(name)) return;
  for (const [, bindings] of [...scopes].reverse()) {
    const found = bindings.find(([key]) => key.split(" ").includes(name));
    if (found) {
      event.preventDefault();
      found[2](event);
      return;
    }
  }
});
