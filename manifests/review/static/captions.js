// The texts of a clip: read, edit with a draft, compare versions, and the claims of a caption.

import { button, fill, h, number, toast } from "./dom.js";
import { diffElement } from "./diff.js";
import { dropDraft, readDraft, saveDraft, settings } from "./settings.js";

export const LENGTHS = ["short", "medium", "dense"];
const TITLES = { short: "Short", medium: "Medium", dense: "Dense" };

export const longestOf = (texts) => [...LENGTHS].reverse().find((length) => texts[length]) ?? "dense";

/** Characters and words of a text. */
const sizeOf = (text) => `${text.length} characters, ${(text.match(/\S+/g) ?? []).length} words`;

/** The caption of a card, with an editor. */
export class CaptionPanel {
  /** @param {{save: (length: string, text: string, goOn: boolean) => void}} actions */
  constructor(actions) {
    this.actions = actions;
    this.element = h("section.panel.caption", { "aria-label": "Caption" });
  }

  show(card) {
    this.keep();
    this.card = card;
    this.length = longestOf(card.texts);
    const draft = LENGTHS.find((length) => readDraft(card.item.media_id, length));
    if (draft) this.length = draft;
    this.editing = Boolean(draft);
    this.render();
  }

  get text() { return this.card.texts[this.length] ?? ""; }

  render() {
    const { card } = this;
    const counting = card.captions.find((caption) => caption.counts);
    const tabs = h("div.tabs", { role: "tablist", "aria-label": "Length of the caption" }, LENGTHS.filter((length) =>
      length in card.texts || length === this.length).map((length) => h("button.tab", {
      type: "button", role: "tab", id: `tab-${length}`, "aria-selected": String(length === this.length), "aria-controls": "caption-text",
      on: { click: () => this.choose(length) } }, TITLES[length], length in (card.decision?.texts ?? {}) && h("span.dot", { title: "edited" }, h("span.sr", {}, " (edited)")))));
    const body = h("div", { id: "caption-text", role: "tabpanel", "aria-labelledby": `tab-${this.length}` });
    this.element.replaceChildren(h("div.panel-head", {}, tabs, this.badges(counting)), body);
    if (this.editing) this.renderEditor(body);
    else {
      body.append(this.text ? h("p.text", {}, this.text)
        : h("p.quiet", {}, counting && counting.outcome !== "ok" ? `No text: ${counting.outcome}. ${counting.detail}` : "No text of this length."));
      const original = counting?.texts[this.length] ?? "";
      if (this.length in (card.decision?.texts ?? {}) && original !== this.text) {
        body.append(h("details.was", {}, h("summary", {}, "What the edit changed"), diffElement(original, this.text)));
      }
      body.append(button("Edit", { key: "E", symbol: "pen", class: "small ghost" }, () => this.edit()));
    }
  }

  badges(counting) {
    const { decision, blind } = this.card;
    const list = [];
    if (decision?.verdict) list.push(h(`span.badge.${decision.verdict}`, {}, verdictWord(decision.verdict)));
    if (decision?.disagreement) list.push(h("span.badge.flag", {}, "reviewers differ"));
    if (decision?.stale) list.push(h("span.badge.flag", { title: "The decision saw another text: please look again." }, "caption has changed since"));
    if (blind) list.push(h("span.badge", { title: "Decisions of other reviewers are hidden until all are in." }, "blind"));
    if (counting && counting.outcome !== "ok") list.push(h("span.badge.reject", {}, counting.outcome));
    return h("div.badges", {}, list);
  }

  choose(length) {
    this.keep();
    this.length = length;
    this.editing = Boolean(readDraft(this.card.item.media_id, length));
    this.render();
    this.element.querySelector("[role=tab][aria-selected=true]")?.focus();
  }

  /** Show the next length that has a text. */
  nextLength() {
    const all = LENGTHS.filter((length) => length in this.card.texts);
    if (all.length > 1) this.choose(all[(all.indexOf(this.length) + 1) % all.length]);
  }

  edit(insert = "") {
    if (!this.editing) {
      this.editing = true;
      this.render();
    }
    this.area.focus();
    if (insert) this.insert(insert);
    else this.area.setSelectionRange(this.area.value.length, this.area.value.length);
  }

  renderEditor(body) {
    const draft = readDraft(this.card.item.media_id, this.length);
    this.area = h("textarea", { id: "caption-edit", rows: 7, spellcheck: "true", "aria-label": `${TITLES[this.length]} caption`, "aria-describedby": "caption-size",
      prop: { value: draft?.text ?? this.text }, on: { input: () => this.changed() } });
    this.size = h("p.size", { id: "caption-size", "aria-live": "off" });
    const changedSince = draft && draft.base !== this.text;
    const snippets = settings.snippets.map((text, index) => text && h("button.chip", { type: "button", title: text, on: { click: () => this.insert(text) } },
      h("kbd", { "aria-hidden": "true" }, `Alt ${index + 1}`), text)).filter(Boolean);
    fill(body,
      draft && h("p.note", {}, changedSince ? "Your draft is of an earlier text, which was changed since. " : "Your draft from before was kept. ",
        button("Discard it", { class: "small ghost" }, () => this.discard())),
      this.area, this.size, h("div.chips", { "aria-label": "Snippets" }, snippets),
      h("div.row", {}, button("Save and go on", { key: "Ctrl Enter", class: "primary small" }, () => this.save(true)),
        button("Save", { key: "Ctrl S", class: "small" }, () => this.save(false)),
        button("Discard", { class: "small ghost" }, () => this.discard())));
    this.measure();
  }

  /** Insert text at the cursor, in a way that the browser's own undo takes back. */
  insert(text) {
    this.area.focus();
    const before = this.area.value.slice(0, this.area.selectionStart);
    const spaced = before && !/\s$/.test(before) && /^\w/.test(text) ? ` ${text}` : text;
    if (!document.execCommand("insertText", false, spaced)) this.area.setRangeText(spaced, this.area.selectionStart, this.area.selectionEnd, "end");
    this.changed();
  }

  changed() {
    this.measure();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), 250);
  }

  measure() {
    const now = this.area.value, by = now.length - this.text.length;
    this.size.textContent = `${sizeOf(now)}${by ? ` (${by > 0 ? "+" : "−"}${Math.abs(by)})` : ""}`;
  }

  /** Keep the draft in this browser until it is saved or discarded. */
  keep() {
    clearTimeout(this.timer);
    if (!this.editing || !this.area?.isConnected) return;
    const id = this.card.item.media_id;
    if (this.area.value === this.text) dropDraft(id, this.length);
    else if (!saveDraft(id, this.length, this.area.value, this.text)) {
      toast("The draft cannot be kept in this browser: its storage is full or switched off. Save before you leave.", { wrong: true });
    }
  }

  discard() {
    dropDraft(this.card.item.media_id, this.length);
    this.editing = false;
    this.render();
    document.querySelector("#main").focus({ preventScroll: true });
  }

  save(goOn) {
    if (!this.editing) return;
    this.keep();
    const text = this.area.value.trim();
    if (text === this.text) { this.discard(); return; }
    this.actions.save(this.length, text, goOn);
  }

  /** Forget the draft of a text that was saved, unless more was typed meanwhile. */
  saved(mediaId, length, text) {
    const isShown = this.editing && this.card.item.media_id === mediaId && this.length === length;
    if (isShown && this.area.value.trim() !== text) this.keep();
    else if (isShown) this.drop(length);
    else dropDraft(mediaId, length);
  }

  /** Forget what was typed. */
  drop(length) {
    dropDraft(this.card.item.media_id, length);
    this.editing = false;
  }

  /** Put a text into the editor, as a draft. */
  take(length, text) {
    this.length = length;
    saveDraft(this.card.item.media_id, length, text, this.text);
    this.editing = true;
    this.render();
    this.area.focus();
  }
}

export const verdictWord = (verdict) => ({ approve: "approved", edit: "edited", reject: "rejected", flag: "flagged", span: "span mended" })[verdict] ?? verdict;

/** All versions of the caption; each but the one that counts as a difference to it. */
export function versionsPanel(card) {
  const counting = card.captions.find((caption) => caption.counts) ?? card.captions[0];
  if (!card.captions.length) return h("p.quiet", {}, "This clip has no caption yet.");
  return h("div.versions", {}, card.captions.map((caption) => {
    const own = caption === counting;
    const lengths = LENGTHS.filter((length) => caption.texts[length]);
    return h("article.version", {}, h("header", {}, h("strong", {}, caption.version), own && h("span.badge", {}, "counts"),
      h("span.quiet", {}, [caption.captioner, caption.model].filter(Boolean).join(" · "))),
    !lengths.length && h("p.quiet", {}, `${caption.outcome}: ${caption.detail || "no text"}`),
    lengths.map((length) => [h("h4", {}, TITLES[length]),
      own || !counting?.texts[length] ? h("p.text", {}, caption.texts[length]) : diffElement(counting.texts[length], caption.texts[length], `${length} caption against the one that counts`)]));
  }));
}

/** What captions say by part, and what their captioner was told that is heard, where a dataset has it. */
export function partsPanel(card) {
  const found = card.captions.filter((caption) => caption.extra?.parts || caption.extra?.heard);
  if (!found.length) return null;
  return h("div.versions", {}, found.map((caption) => h("article.version", {}, h("header", {}, h("strong", {}, caption.version)),
    facts(partRows(caption.extra.parts)),
    caption.extra.heard && [h("h4", {}, "Heard, not seen (transcript)"), h("p.text", {}, caption.extra.heard)])));
}

/** The parts that are not empty, as rows of names and texts. */
function partRows(text) {
  let parts = {};
  try { parts = JSON.parse(text || "{}"); } catch { return [["parts", text]]; }
  return Object.entries(parts).map(([name, value]) => [name.replaceAll("_", " "), Array.isArray(value) ? value.join("; ") : String(value)])
    .filter(([, value]) => value);
}

/** Claims of captions where a dataset has them, each with its frames. */
export function claimsPanel(card, seek) {
  const found = card.captions.flatMap((caption) => toList(caption.extra?.claims).map((claim) => ({ claim, version: caption.version })));
  if (!found.length) return null;
  return h("ol.claims", {}, found.map(({ claim, version }) => {
    const text = typeof claim === "string" ? claim : claim.text ?? claim.claim ?? JSON.stringify(claim);
    const verdict = claim.verdict ?? claim.label ?? "";
    const frames = claimFrames(claim, card);
    return h("li", {}, verdict && h(`span.badge.${verdictClass(String(verdict))}`, {}, String(verdict)),
      h("span", {}, text), h("span.quiet", {}, version),
      frames.map((frame) => h("button.chip", { type: "button", on: { click: () => seek(frame) } }, `frame ${frame + 1}`)));
  }));
}

const verdictClass = (verdict) => (/unsupported|false|wrong|contradict/i.test(verdict) ? "reject" : /unseen/i.test(verdict) ? "flag" : "approve");

function toList(value) {
  if (typeof value === "string") {
    try { return toList(JSON.parse(value)); } catch { return value ? [value] : []; }
  }
  return Array.isArray(value) ? value : [];
}

function claimFrames(claim, card) {
  if (Array.isArray(claim.frames)) return claim.frames.filter(Number.isInteger).slice(0, 8);
  if (typeof claim.start_s === "number") return [Math.min(card.num_frames - 1, Math.ceil(claim.start_s * card.fps - 1e-6))];
  return [];
}

/** Rows of names and values. */
export const facts = (rows) => h("dl.facts", {}, rows.map(([name, value, note]) =>
  h("div", {}, h("dt", {}, name), h("dd", {}, value instanceof Node ? value : number(value), note && h("span.quiet", {}, note)))));
