// Dialogs: reasons, conflicts, help, settings, the name of the reviewer.

import { ApiError, rename, session } from "./api.js";
import { diffElement } from "./diff.js";
import { button, dialog, h, toast } from "./dom.js";
import { bound } from "./keys.js";
import { saveSettings, settings } from "./settings.js";

/** Ask for the reason of a rejection: a digit takes one of the list. Resolves with `{reason, note}` or null. */
export function askReason() {
  return dialog("Reject: why?", (close, element) => {
    const input = h("input", { type: "text", maxlength: 300, "aria-label": "Another reason", placeholder: "Another reason" });
    const reasons = settings.reasons.map((text, index) => text && button(text, { key: String(index + 1), class: "reason-choice", autofocus: index === 0 }, () => close({ reason: text })));
    element.addEventListener("keydown", (event) => {
      if (event.target === input || !/^[1-9]$/.test(event.key)) return;
      const text = settings.reasons[Number(event.key) - 1];
      if (!text) return;
      event.preventDefault();
      event.stopPropagation(); // the page has a use of its own for digits
      close({ reason: text });
    });
    const other = h("form.row", { on: { submit: (event) => {
      event.preventDefault();
      if (input.value.trim()) close({ reason: input.value.trim() });
      else input.focus();
    } } }, input, h("button", { type: "submit" }, "Reject"));
    return [h("div.choices", {}, reasons), other];
  });
}

/** Show what somebody else decided, beside one's own. Resolves with changes of the request, `{reload}`, `{merge}` or null. */
export function resolveConflict(conflict, request) {
  const { newest } = conflict;
  const mine = request.verdict === "edit";
  const title = conflict.caption_changed ? "The caption changed meanwhile" : `${newest.reviewer} decided meanwhile`;
  return dialog(title, (close) => [
    h("p", {}, conflict.caption_changed ? "A new caption counts since this page was shown. Nothing was saved yet."
      : `This page did not show it: ${describe(newest)}. Nothing of yours was saved yet.`),
    h("div.two", {},
      h("section", {}, h("h3", {}, "Yours"), mine ? h("p.text", { id: "conflict-mine" }, conflict.your_text || "(empty)") : h("p.text", {}, describe({ ...request, reviewer: "you" }))),
      h("section", {}, h("h3", {}, conflict.caption_changed ? "As it is now" : "Theirs"),
        h("p.text", { id: "conflict-theirs" }, mine || newest.verdict === "edit" ? conflict.their_text || newest.new_text || "(empty)" : describe(newest)))),
    mine && h("div", {}, h("h3", {}, "From theirs to yours"), diffElement(conflict.their_text, conflict.your_text)),
    h("div.row", {}, button("Save mine", { class: "primary" }, () => close({ saw: conflict.saw_now })),
      button("Keep theirs", { autofocus: true }, () => close({ reload: true })),
      mine && button("Edit further", {}, () => close({ merge: conflict.your_text })))], { wide: true });
}

function describe(row) {
  const words = { approve: "approved it", edit: "edited the text", reject: "rejected it", flag: "flagged it", span: "mended the span", withdraw: "took a decision back" };
  return `${row.reviewer} ${words[row.verdict] ?? row.verdict}${row.reason ? ` (${row.reason})` : ""}`;
}

/** List the keys that work now. */
export function showHelp() {
  return dialog("Keys", (close) => [
    h("div.help", {}, bound().map(([scope, bindings]) => h("section", {}, h("h3", {}, scope), h("dl", {}, bindings.map(([key, about]) =>
      h("div", {}, h("dt", {}, key.split(" ").filter((each) => !/^Alt\+/.test(each)).map((each) => h("kbd", {}, shown(each)))), h("dd", {}, about))))))),
    h("p.quiet", {}, "Keys are off while you type; Escape leaves a text field. While you edit, Alt and a digit inserts a snippet."),
    h("div.row", {}, button("Close", {}, () => close()))], { wide: true, reading: true });
}

const NAMES = { ArrowRight: "→", ArrowLeft: "←", Space: "Space" };
const shown = (key) => NAMES[key] ?? key.split("+").map((part) => (part.length === 1 ? part.toUpperCase() : part)).join(" ");

/** Name, theme, jump size, reasons and snippets. */
export function showSettings() {
  return dialog("Settings", (close) => {
    const field = (label, input) => h("label.field", {}, h("span", {}, label), input);
    const name = h("input", { type: "text", maxlength: 64, required: true, autocomplete: "name", prop: { value: session.reviewer } });
    const theme = h("select", {}, [["auto", "as the system"], ["light", "light"], ["dark", "dark"]].map(([value, label]) => h("option", { value, prop: { selected: settings.theme === value } }, label)));
    const jump = h("input", { type: "number", min: 0.1, max: 600, step: 0.1, prop: { value: settings.jump } });
    const lines = (values, label) => values.map((text, index) => h("input", { type: "text", maxlength: 300, "aria-label": `${label} ${index + 1}`, placeholder: String(index + 1), prop: { value: text } }));
    const reasons = lines(settings.reasons, "Reason"), snippets = lines(settings.snippets, "Snippet");
    const save = async (event) => {
      event.preventDefault();
      const values = (inputs) => inputs.map((input) => input.value);
      if (!saveSettings({ theme: theme.value, jump: Number(jump.value) || 1, reasons: values(reasons).map((each) => each.trim()), snippets: values(snippets) })) {
        toast("This browser keeps no settings: its storage is full or switched off.", { wrong: true });
      }
      try {
        if (name.value.trim() !== session.reviewer) await rename(name.value.trim());
        close("saved");
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        toast(error.message, { wrong: true });
      }
    };
    return h("form", { on: { submit: save } },
      h("div.fields", {}, field("Your name", name), field("Theme", theme), field("Jump of < and >, in seconds", jump)),
      h("div.two", {}, h("fieldset", {}, h("legend", {}, "Reasons to reject, by digit"), reasons), h("fieldset", {}, h("legend", {}, "Snippets, by digit"), snippets)),
      h("div.row", {}, h("button.primary", { type: "submit" }, "Save"), button("Cancel", { class: "ghost" }, () => close())));
  }, { wide: true });
}
