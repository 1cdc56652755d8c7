// One clip with everything about it, and the keys that decide on it.

import { ApiError, postUntilAnswered, session } from "./api.js";
import { button, dialog, fill, h, newId, number, seconds, toast } from "./dom.js";
import { CaptionPanel, claimsPanel, facts, partsPanel, verdictWord, versionsPanel } from "./captions.js";
import { askReason, resolveConflict } from "./dialogs.js";
import { bind } from "./keys.js";
import { aroundVideo, Player, strip } from "./player.js";
import { settings, undoStack } from "./settings.js";

const MAX_STRIP = 8;

export class CardView {
  /** @param {{next: (mediaId: string) => void, back: () => void, open: (mediaId: string) => Promise<void>, fetch: (mediaId: string) => Promise<object>}} moves */
  constructor(moves) {
    this.moves = moves;
    this.player = new Player();
    this.caption = new CaptionPanel({ save: (length, text, goOn) => this.saveEdit(length, text, goOn) });
    this.head = h("header.card-head", {});
    this.film = h("div.film", {});
    this.more = h("div.more", {});
    this.spanBar = h("div.span-bar", { hidden: true, role: "group", "aria-label": "Span" });
    this.bar = this.verdictBar();
    this.element = h("div.card", {}, h("div.left", {}, this.head, this.player.element, this.spanBar, this.film),
      h("div.right", {}, this.caption.element, this.more), this.bar);
    this.busy = false;
  }

  verdictBar() {
    const act = (label, key, symbol, work, kind = "") => button(label, { key, symbol, class: kind }, work);
    return h("div.verdicts", { role: "toolbar", "aria-label": "Verdict" },
      act("Approve", "A", "check", () => this.approve(), "approve"),
      act("Edit", "E", "pen", () => this.caption.edit(), "edit"),
      act("Reject", "R", "cross", () => this.reject(), "reject"),
      act("Flag", "F", "flag", () => this.flag(), "flag"),
      act("Span", "S", "span", () => this.mendSpan(), "span"),
      act("Undo", "U", "undo", () => this.undo(), "ghost"),
      act("Next", "N", "next", () => this.moves.next(this.card.item.media_id), "ghost"));
  }

  show(card) {
    this.card = card;
    this.marks = null;
    this.playsAround = false;
    this.spanBar.hidden = true;
    this.player.load(card);
    this.caption.show(card);
    this.refresh();
    bind("Clip", this.player.isImage ? [] : this.player.keys());
    bind("Verdict", this.keys());
    this.element.scrollTop = 0;
  }

  refresh() {
    const { card } = this, { item } = card;
    fill(this.head, h("div.why", {}, item.reasons.length ? item.reasons.map((reason) => h("span.reason", {}, reason)) : h("span.reason.plain", {}, "in the queue")),
      h("div.where", {}, h("a", { href: `#/clip/${item.media_id}`, title: item.key }, `${item.key.slice(0, 8)}${item.key.length > 36 ? item.key.slice(36) : ""}`),
        ` · ${card.width}×${card.height} · ${item.kind === "image" ? "still" : `${number(card.fps)} fps · ${seconds(item.duration_s)}`}${item.bucket ? ` · ${item.bucket}` : ""}`));
    this.renderFilm();
    this.renderMore();
  }

  renderFilm() {
    const { card } = this;
    if (this.player.isImage) { fill(this.film); return; }
    const shown = [...new Set(card.captions.find((caption) => caption.counts)?.frames_shown)]; // a short clip repeats some
    const picked = shown.length > MAX_STRIP ? Array.from({ length: MAX_STRIP }, (_, k) => shown[Math.round((k * (shown.length - 1)) / (MAX_STRIP - 1))]) : shown;
    const id = card.item.media_id;
    const note = shown.length > MAX_STRIP ? `${MAX_STRIP} of ${shown.length}` : String(shown.length);
    fill(this.film, picked.length > 0 && [h("h3", {}, "Frames that the captioner saw ", h("span.quiet", {}, note)),
      strip(`/media/${id}/frames?indices=${picked.join(",")}`, picked.map((frame) => `${frame + 1}`), (index) => this.player.seek(picked[index], true), { label: "Frames that the captioner saw" })],
      ...(this.around = this.sourceAround()));
  }

  /** The heading and the source beside the clip. */
  sourceAround() {
    const { media_id: id } = this.card.item;
    return [
      h("div.row.spread", {}, h("h3", {}, "Source around the clip"), button(this.playsAround ? "Stop" : "Play", { key: "B", class: "small ghost", "aria-label": this.playsAround ? "Stop the source around the clip" : "Play the source around the clip" }, () => this.playAround())),
      h("div.around", {}, this.side(id, "before"), h("span.cut", {}, "clip"), this.side(id, "after")),
    ];
  }

  /** Stills of the source beside the clip, or its seconds there as a video. */
  side(id, name) {
    if (this.playsAround) return aroundVideo(`/media/${id}/source/${name}/video`, `Seconds of the source ${name} the clip`, this.card);
    const labels = name === "before" ? ["−1.0", "−0.5", "−0.1"] : ["+0.1", "+0.5", "+1.0"];
    return strip(`/media/${id}/source/${name}`, labels, null, { label: `${name === "before" ? "Before" : "After"} the clip, in seconds` });
  }

  playAround() {
    this.playsAround = !this.playsAround;
    if (this.playsAround) this.player.pause();
    const before = this.around;
    this.around = this.sourceAround();
    before.forEach((node, index) => node.replaceWith(this.around[index])); // the frames above stay, with their height
    const show = () => this.around[1].scrollIntoView({ block: "nearest" });
    show();
    for (const image of this.film.querySelectorAll("img")) if (!image.complete) image.addEventListener("load", show, { once: true });
  }

  renderMore() {
    const { card } = this;
    const claims = claimsPanel(card, (frame) => this.player.seek(frame, true));
    const section = (title, body, open = false) => body && h("details.section", { open }, h("summary", {}, title), body);
    const rules = card.rules.map((rule) => [rule.reason.replaceAll("_", " "), rule.value,
      `${rule.sign === "<" ? "at least" : "at most"} ${number(rule.limit)} ${rule.unit}`]);
    const scores = Object.entries(card.scores).filter(([, value]) => value !== null && typeof value !== "object");
    fill(this.more,
      section(`Versions (${card.captions.length})`, versionsPanel(card), card.captions.length > 1),
      section("Parts", partsPanel(card), true),
      section("Claims", claims, true),
      section("Why it was kept", h("div", {}, card.selection && h("p.quiet", {}, card.selection),
        rules.length ? facts(rules) : h("p.quiet", {}, "The rules of this dataset are unknown."))),
      section(`Duplicates and neighbours (${card.neighbours.length})`, this.neighbours()),
      section(`Scores (${scores.length})`, facts(scores)),
      section("Source", facts([["file", card.source_uri], ["from", seconds(card.start_s)], ["to", seconds(card.end_s)]])),
      section(`History (${card.history.length})`, this.history(), card.history.length > 0));
  }

  neighbours() {
    const { neighbours } = this.card;
    if (!neighbours.length) return h("p.quiet", {}, "No copies, and no other clip of this source.");
    return h("ul.neighbours", {}, neighbours.map((each) => {
      const body = [each.media_id ? h("img", { src: `/media/${each.media_id}/poster`, alt: "", loading: "lazy" }) : h("span.no-poster", {}),
        h("span", {}, h("strong", {}, each.relation), ` ${each.kept ? "kept" : "dropped"}`, each.detail && h("span.quiet", {}, ` ${each.detail}`))];
      return h("li", {}, each.media_id ? h("a", { href: `#/clip/${each.media_id}` }, body) : h("span.row", {}, body));
    }));
  }

  history() {
    if (!this.card.history.length) return h("p.quiet", {}, "Nobody decided on this clip yet.");
    return h("ol.history", {}, this.card.history.map((row) => h("li", {},
      h("strong", {}, row.reviewer), ` ${row.verdict === "withdraw" ? "took a decision back" : verdictWord(row.verdict)}`,
      row.length && ` (${row.length})`, row.reason && h("span", {}, `: ${row.reason}`), row.note && h("span.quiet", {}, ` “${row.note}”`),
      h("time.quiet", { datetime: row.at }, ` ${new Date(row.at).toLocaleString()}`), row.new_text && h("p.text.small", {}, row.new_text))));
  }

  keys() {
    return [
      ["a", "Approve", () => this.approve()],
      ["e", "Edit the caption", () => this.caption.edit()],
      ["r", "Reject with a reason", () => this.reject()],
      ["f", "Flag for somebody else", () => this.flag()],
      ["s", "Mend the span", () => this.mendSpan()],
      ["u", "Undo the last decision", () => this.undo()],
      ["n ArrowRight", "Next clip, without a decision", () => this.moves.next(this.card.item.media_id)],
      ["p ArrowLeft", "Back to the clip before", () => this.moves.back()],
      ["t", "Show the other length", () => this.caption.nextLength()],
      ["b", "Play the source before and after the clip", () => { if (!this.player.isImage) this.playAround(); }],
      ["Ctrl+Enter", "Save the edit and go on", () => this.caption.save(true)],
      ["Ctrl+s", "Save the edit and stay", () => this.caption.save(false)],
      ...settings.snippets.map((text, index) => [`${index + 1} Alt+${index + 1}`, text && `Insert “${text}”`, () => text && this.caption.edit(text)]),
      ...(this.marks ? [["i", "Span begins here", () => this.mark("start_s")], ["o", "Span ends here", () => this.mark("end_s")],
        ["Enter", "Save the span", () => this.saveSpan()], ["Escape", "Leave the span as it is", () => this.endSpan()]] : []),
    ];
  }

  approve() {
    this.decide({ verdict: "approve" });
  }

  async reject() {
    const reason = await askReason();
    if (reason) this.decide({ verdict: "reject", ...reason });
  }

  async flag() {
    const note = await dialog("Flag for somebody else", (close) => {
      const input = h("input", { type: "text", maxlength: 500, autofocus: true, "aria-label": "Note", placeholder: "What should they look at? (optional)" });
      return h("form", { on: { submit: (event) => { event.preventDefault(); close({ note: input.value.trim() }); } } }, input,
        h("div.row", {}, h("button.primary", { type: "submit" }, "Flag"), button("Cancel", { class: "ghost" }, () => close())));
    });
    if (note) this.decide({ verdict: "flag", ...note });
  }

  mendSpan() {
    if (this.player.isImage) { toast("A still has no span."); return; }
    if (this.marks) { this.endSpan(); return; }
    const whole = this.card.num_frames / this.card.fps, standing = this.card.decision;
    this.marks = { start_s: standing?.start_s ?? 0, end_s: standing?.end_s ?? whole };
    this.player.pause();
    this.showSpan();
    bind("Verdict", this.keys());
  }

  mark(edge) {
    const { fps } = this.card, frame = this.player.frame;
    const marks = { ...this.marks, [edge]: edge === "start_s" ? frame / fps : (frame + 1) / fps };
    if (marks.end_s - marks.start_s < 2 / fps - 1e-9) { toast("A span has two frames or more.", { wrong: true }); return; }
    this.marks = marks;
    this.showSpan();
  }

  showSpan() {
    const { start_s, end_s } = this.marks;
    this.player.setSpan(this.marks);
    this.spanBar.hidden = false;
    const place = spanPlace(this.card, end_s - start_s);
    fill(this.spanBar, h("output", {}, `Span ${start_s.toFixed(2)} to ${end_s.toFixed(2)} s (${(end_s - start_s).toFixed(2)} s)`),
      place.text && h(place.short ? "span.note.short" : "span.quiet", { role: "status" }, place.text),
      button("In", { key: "I", class: "small" }, () => this.mark("start_s")), button("Out", { key: "O", class: "small" }, () => this.mark("end_s")),
      button("Save span", { key: "Enter", class: "small primary" }, () => this.saveSpan()),
      button("Cancel", { key: "Esc", class: "small ghost" }, () => this.endSpan()));
  }

  endSpan() {
    this.marks = null;
    this.spanBar.hidden = true;
    this.player.setSpan(null);
    this.player.play();
    bind("Verdict", this.keys());
  }

  async saveSpan() {
    const { start_s, end_s } = this.marks, place = spanPlace(this.card, end_s - start_s);
    if (!(await this.decide({ verdict: "span", start_s, end_s }, { goOn: false }))) return;
    this.endSpan();
    if (place.short) toast(`Saved. ${place.text}`, { wrong: true });
  }

  saveEdit(length, text, goOn) {
    return this.decide({ verdict: "edit", length, new_text: text }, { goOn });
  }

  /** Send a decision; show a conflict, or go on. Resolves with whether it was recorded. */
  async decide(fields, { goOn = true } = {}) {
    if (this.busy) return false;
    this.busy = true;
    this.bar.setAttribute("aria-busy", "true");
    const { card } = this;
    let request = { review_id: newId(), media_id: card.item.media_id, saw: card.saw, caption_version: card.caption_version, caption_digest: card.caption_digest, ...fields };
    try {
      for (;;) {
        const answer = await postUntilAnswered("/api/decisions", request);
        if (answer.kind === "saved") { await this.saved(card, request, goOn); return true; }
        const again = answer.kind === "conflict" ? await resolveConflict(answer, request) : await confirmEmpty(answer);
        if (!again) return false;
        if (again.reload || again.merge !== undefined) {
          if (again.reload && request.length) this.caption.drop(request.length);
          await this.moves.open(card.item.media_id);
          if (again.merge !== undefined) this.caption.take(request.length, again.merge);
          return false;
        }
        const fresh = answer.kind === "conflict" && answer.caption_changed ? await this.moves.fetch(card.item.media_id) : null;
        const seen = fresh ? { caption_version: fresh.caption_version, caption_digest: fresh.caption_digest } : {};
        request = { ...request, ...again, ...seen, review_id: newId() };
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`Not saved: ${error.message}`, { wrong: true });
      return false;
    } finally {
      this.busy = false;
      this.bar.removeAttribute("aria-busy");
    }
  }

  async saved(card, request, goOn) {
    const mediaId = card.item.media_id;
    if (request.verdict === "edit") this.caption.saved(mediaId, request.length, request.new_text);
    undoStack.push({ target: request.review_id, mediaId, text: verdictWord(request.verdict) });
    toast(`Clip ${card.item.key.slice(0, 8)} ${verdictWord(request.verdict)}.`, { undo: () => this.undo() });
    if (this.card !== card) return; // the reviewer has gone on meanwhile
    document.activeElement?.blur?.();
    try {
      await (goOn ? this.moves.next(mediaId) : this.moves.open(mediaId));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(error.message, { wrong: true });
    }
  }

  async undo() {
    const last = undoStack.pop();
    if (!last) { toast("Nothing to undo in this session."); return; }
    try {
      const answer = await postUntilAnswered("/api/undo", { target: last.target, review_id: newId() });
      if (answer.kind === "conflict") toast(`Not undone: ${answer.newest?.reviewer ?? "somebody"} decided on this clip since.`, { wrong: true });
      else toast(`Undone: ${last.text}.`);
      if (last.mediaId) await this.moves.open(last.mediaId);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`Not undone: ${error.message}`, { wrong: true });
    }
  }

  leave() {
    this.caption.keep();
    this.player.pause();
    bind("Clip", []);
    bind("Verdict", []);
  }
}

/** Where `kinora pack` puts a span of this length, under the settings of the last pack. */
export function spanPlace(card, length_s) {
  const { pack_fps: fps, span_buckets: buckets } = card;
  if (!fps) return { text: "", short: false };
  const frames = Math.max(1, Math.ceil(length_s * fps - 1e-6));
  const found = buckets.filter((bucket) => bucket.from_frames <= frames).at(-1);
  const video = buckets.find((bucket) => bucket.num_frames > 1);
  const needs = video ? ` A video needs more than ${((video.from_frames - 1) / fps).toFixed(2)} s.` : "";
  if (!found) return { text: `Too short for every bucket of the last pack: the clip would be left out.${needs}`, short: true };
  if (found.num_frames === 1 && video) return { text: `Too short for a video: it would be packed as one frame (${found.name}).${needs}`, short: true };
  return { text: `bucket ${found.name}`, short: false };
}

function confirmEmpty(answer) {
  return dialog("Remove this text?", (close) => [
    h("p", {}, `The ${answer.length} caption would be empty. It is now:`), h("p.text", {}, answer.text),
    h("div.row", {}, button("Keep the text", { class: "primary", autofocus: true }, () => close()),
      button("Remove it", { class: "reject" }, () => close({ confirm: true })))]);
}

export const reviewerName = () => session.reviewer;
