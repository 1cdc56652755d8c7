// Search by words or SQL, and edits of all clips that were found.

import { ApiError, get, latest, postUntilAnswered, post } from "./api.js";
import { diffElement } from "./diff.js";
import { button, fill, h, newId, number, toast } from "./dom.js";
import { bind } from "./keys.js";
import { itemList } from "./queue.js";
import { settings, undoStack } from "./settings.js";

const PAGE = 30;
const KINDS = [["replace", "Find and replace"], ["prefix", "Put before each text"], ["suffix", "Put after each text"], ["trim", "Trim spaces"], ["approve", "Approve all"], ["reject", "Reject all"], ["flag", "Flag all"]];

export async function searchView({ main, params, isCurrent }) {
  const { strata } = await get("/api/strata");
  if (!isCurrent()) return null;
  const text = h("input", { id: "search-text", type: "search", placeholder: "Words of a caption, \"a phrase\" or begin*", "aria-label": "Words", prop: { value: params.get("search") ?? "" } });
  const where = h("input", { type: "text", spellcheck: "false", placeholder: "motion > 0.1 AND outcome = 'ok'", "aria-label": "SQL condition", prop: { value: params.get("where") ?? "" } });
  const stratum = h("select", { "aria-label": "Stratum" }, strata.map((each) => h("option", { value: each.name, prop: { selected: each.name === (params.get("stratum") ?? "all") } }, each.title)));
  const state = h("select", { "aria-label": "State" }, [["all", "open and done"], ["open", "open"], ["done", "done"]].map(([value, label]) => h("option", { value, prop: { selected: value === params.get("state") } }, label)));
  const results = h("div.results", { "aria-live": "polite" });
  const filter = () => ({ stratum: stratum.value, search: text.value.trim(), where: where.value.trim(), state: state.value });
  const bulk = new BulkPanel(filter, () => show(0));
  const begin = latest();

  async function show(offset) {
    const asked = filter(), isNewest = begin();
    const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value && value !== "all"));
    history.replaceState(null, "", `#/search${query.size ? `?${query}` : ""}`);
    let page;
    try {
      page = await get("/api/queue", { ...asked, offset, limit: PAGE });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!isNewest()) return;
      fill(results, h("p.wrong", { role: "alert" }, error.message));
      bulk.matched(null);
      return;
    }
    if (!isNewest()) return;
    const link = `#/queue/${encodeURIComponent(asked.stratum)}?${query}`;
    bulk.matched(page);
    fill(results, h("div.row.spread", {}, h("h2", {}, `${page.total_is_exact ? "" : "More than "}${number(page.total)} clips`), page.total > 0 && h("a.button.small", { href: link }, "Review these")),
      page.items.length ? itemList(page.items, (item) => { location.hash = `#/clip/${item.media_id}?${query}`; }) : h("p.quiet", {}, page.empty_because || "No clip matches."),
      page.total > PAGE && h("div.row", {}, button("Before", { disabled: offset <= 0 }, () => show(Math.max(0, offset - PAGE))),
        h("span.quiet", {}, `${number(page.offset + 1)} to ${number(page.offset + page.items.length)}`), button("After", { disabled: offset + page.items.length >= page.total }, () => show(offset + PAGE))));
  }

  const form = h("form.search-form", { role: "search", on: { submit: (event) => { event.preventDefault(); show(0); } } },
    h("label.field.grow", {}, h("span", {}, "Words"), text), h("label.field.grow", {}, h("span", {}, "SQL condition"), where),
    h("label.field", {}, h("span", {}, "Stratum"), stratum), h("label.field", {}, h("span", {}, "State"), state), h("button.primary", { type: "submit" }, "Search"));
  fill(main, h("div.page", {}, h("h1", {}, "Search"), form, h("div.columns", {}, results, bulk.element)));
  bind("Search", [["/", "Search words", () => text.focus()], ["u", "Undo the last decision or bulk edit", () => bulk.undo()]]);
  text.focus();
  await show(0);
  return { leave: () => bind("Search", []), back: () => show(0) };
}

/** One edit or verdict for all clips of a filter: preview, apply, and one undo. */
class BulkPanel {
  constructor(filter, changed) {
    this.filter = filter;
    this.changed = changed;
    this.begin = latest();
    this.preview = h("div.preview", { "aria-live": "polite" });
    this.kind = h("select", { "aria-label": "What to do", on: { change: () => this.showFields() } }, KINDS.map(([value, label]) => h("option", { value }, label)));
    this.pattern = h("input", { type: "text", spellcheck: "false" });
    this.replacement = h("input", { type: "text" });
    this.ignoreCase = h("input", { type: "checkbox" });
    this.reason = h("input", { type: "text", list: "bulk-reasons" });
    this.lengths = ["short", "medium", "dense"].map((length) => h("label.check", {}, h("input", { type: "checkbox", value: length, prop: { checked: true } }), length));
    this.fields = h("div.fields", {});
    this.count = h("p.quiet", {});
    this.element = h("section.panel.bulk", { "aria-label": "All at once" }, h("h2", {}, "All at once"), this.count,
      h("form", { on: { submit: (event) => { event.preventDefault(); this.show(); } } }, this.kind, this.fields,
        h("datalist", { id: "bulk-reasons" }, settings.reasons.filter(Boolean).map((reason) => h("option", { value: reason }))),
        h("div.row", {}, h("button", { type: "submit" }, "Preview"))), this.preview);
    this.showFields();
  }

  matched(page) {
    this.begin(); // a preview of an older search is not shown
    this.count.textContent = page === null ? "" : `For the ${page.total_is_exact ? "" : "more than "}${number(page.total)} clips of this search. Nothing changes before you apply the preview.`;
    fill(this.preview);
  }

  showFields() {
    const kind = this.kind.value, field = (label, input) => h("label.field", {}, h("span", {}, label), input);
    const edits = ["replace", "prefix", "suffix", "trim"].includes(kind);
    fill(this.fields, kind === "replace" && [field("Find (regular expression)", this.pattern), field("Replace by (\\1 for a group)", this.replacement), h("label.check", {}, this.ignoreCase, "ignore case")],
      (kind === "prefix" || kind === "suffix") && field("Text", this.replacement), kind === "reject" && field("Reason", this.reason), edits && h("div.checks", {}, this.lengths));
    fill(this.preview);
  }

  edit() {
    const kind = this.kind.value, edits = ["replace", "prefix", "suffix", "trim"].includes(kind);
    return { kind, filter: this.filter(), ...(edits ? { lengths: this.lengths.map((label) => label.querySelector("input")).filter((input) => input.checked).map((input) => input.value) } : {}),
      ...(kind === "replace" ? { pattern: this.pattern.value, ignore_case: this.ignoreCase.checked } : {}),
      ...(["replace", "prefix", "suffix"].includes(kind) ? { replacement: this.replacement.value } : {}), ...(kind === "reject" ? { reason: this.reason.value.trim() } : {}) };
  }

  async show() {
    const isNewest = this.begin();
    fill(this.preview, h("p.quiet", {}, "Looking…"));
    try {
      const preview = await post("/api/bulk/preview", this.edit());
      if (!isNewest()) return;
      fill(this.preview, h("p", {}, h("strong", {}, `${number(preview.changed)} of ${number(preview.matched)} clips`), preview.texts_changed ? ` would change, in ${number(preview.texts_changed)} texts.` : " would change."),
        preview.samples.map((sample) => h("div.sample", {}, h("a.quiet", { href: `#/clip/${sample.media_id}` }, `${sample.media_id.slice(0, 8)} ${sample.length}`), diffElement(sample.before, sample.after))),
        preview.changed > 0 && button(`Apply to ${number(preview.changed)} clips`, { class: "primary" }, () => this.apply(preview)));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!isNewest()) return;
      fill(this.preview, h("p.wrong", { role: "alert" }, error.message));
    }
  }

  async apply(preview) {
    const action = newId();
    fill(this.preview, h("p.quiet", {}, "Saving…"));
    try {
      const saved = await postUntilAnswered("/api/bulk/apply", { token: preview.token, action });
      undoStack.push({ target: action, mediaId: "", text: `bulk edit of ${saved.media_ids.length} clips` });
      toast(`${number(saved.media_ids.length)} clips changed${saved.skipped ? `; ${number(saved.skipped)} left alone, since somebody decided on them meanwhile` : ""}.`, { undo: () => this.undo() });
      await this.changed();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      fill(this.preview, h("p.wrong", { role: "alert" }, error.message));
    }
  }

  async undo() {
    const last = undoStack.pop();
    if (!last) { toast("Nothing to undo in this session."); return; }
    try {
      const answer = await postUntilAnswered("/api/undo", { target: last.target, review_id: newId() });
      toast(answer.kind === "conflict" ? "Not undone: somebody decided on it since." : `Undone: ${last.text}.`, { wrong: answer.kind === "conflict" });
      await this.changed();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`Not undone: ${error.message}`, { wrong: true });
    }
  }
}
