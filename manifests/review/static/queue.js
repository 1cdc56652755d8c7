// The queue: strata, one clip after another, and its list. Deep links to one clip.

import { ApiError, get, latest, Offline, post, session } from "./api.js";
import { CardView } from "./card.js";
import { button, dialog, fill, h, number, toast } from "./dom.js";
import { bind } from "./keys.js";
import { mediaAddress } from "./player.js";

const PAGE = 40;

/** The filter that the parameters of an address name. */
export const filterOf = (stratum, params) => {
  const filter = { stratum: stratum || "all" };
  for (const name of ["where", "search", "state", "reviewer"]) if (params.get(name)) filter[name] = params.get(name);
  return filter;
};

const query = (filter) => new URLSearchParams(Object.entries(filter).filter(([name, value]) => name !== "stratum" && value)).toString();
const address = (filter) => `#/queue/${encodeURIComponent(filter.stratum)}${query(filter) ? `?${query(filter)}` : ""}`;

/** Clips one after another, each leased to this reviewer. */
class Queue {
  constructor(main, filter, isCurrent) {
    this.main = main;
    this.isCurrent = isCurrent;
    this.filter = filter;
    this.side = h("aside.strata", { "aria-label": "Strata" });
    this.place = h("div.place", {});
    this.view = new CardView({
      next: (mediaId) => this.next(mediaId), back: () => this.back(), open: (mediaId) => this.open(mediaId),
      fetch: (mediaId) => this.fetchCard(mediaId),
    });
    this.past = [];
    this.ahead = null;
    this.leaving = null;
    this.begin = latest();
    this.beginStrata = latest();
  }

  async start(mediaId) {
    this.showStrata();
    await (mediaId ? this.open(mediaId) : this.next(""));
  }

  /** Begin to move to another clip. What it returns tells whether this is still the newest move, in a view that is shown. */
  move() {
    const isNewest = this.begin();
    return () => isNewest() && this.isCurrent();
  }

  keys() {
    return [
      ["x", "List of the queue", () => this.list()],
      ["#", "Go to a place by its number", () => this.askPlace()],
      ["Home", "First clip of the queue", () => this.goTo(0)],
      ["End", "Last clip of the queue", () => this.goTo(-1)],
      ["y", "Copy the address of this clip", () => this.copy()],
      ["Shift+a", "Assign clips of this queue to somebody", () => this.assign()],
    ];
  }

  async showStrata() {
    const isNewest = this.beginStrata();
    const { strata } = await get("/api/strata");
    if (!isNewest()) return;
    const select = h("select.strata-select", { "aria-label": "Stratum", on: { change: (event) => { location.hash = address({ ...this.filter, stratum: event.target.value }); } } },
      strata.map((each) => h("option", { value: each.name, prop: { selected: each.name === this.filter.stratum } }, `${each.title} (${each.reviewed} of ${each.size})`)));
    fill(this.side, h("h2.sr", {}, "Strata"), select, h("nav.strata-list", { "aria-label": "Strata" }, strata.map((each) => this.stratum(each))),
      button("List", { key: "X", class: "small ghost" }, () => this.list()), button("Assign", { class: "small ghost" }, () => this.assign()));
  }

  /** Give open clips of this queue to somebody, or take back what somebody has not decided. */
  async assign() {
    const changed = await dialog("Assign clips", (close) => assignForm(this.filter, close));
    if (!changed) return;
    this.ahead = null; // the clip after this one may be somebody else's now
    toast(changed);
  }

  stratum(each) {
    const share = each.size ? each.reviewed / each.size : 0;
    const meter = h("progress", { max: 1, value: share, "aria-label": `${each.reviewed} of ${each.size} reviewed` });
    return h("a.stratum", { href: address({ ...this.filter, stratum: each.name }), "aria-current": each.name === this.filter.stratum ? "true" : null, title: each.description },
      h("span.stratum-title", {}, each.title), h("span.count", {}, `${number(each.reviewed)} / ${number(each.size)}`), meter);
  }

  fetchCard(mediaId) {
    return get(`/api/cards/${encodeURIComponent(mediaId)}`, { hold: "1" });
  }

  show(card) {
    if (!this.view.element.isConnected) {
      bind("Queue", this.keys());
      fill(this.main, h("h1.sr", {}, "Review queue"), h("div.queue", {}, this.side, h("div.work", {}, this.place, this.view.element)));
    }
    this.card = card;
    this.view.show(card);
    const position = card.item.position >= 0 ? `Clip ${number(card.item.position + 1)}` : "Clip";
    fill(this.place, h("span", {}, position), card.item.held_by && card.lease_s <= 0 && h("span.badge.flag", {}, `${card.item.held_by} is at this clip`),
      this.filter.search && h("span.badge", {}, `search: ${this.filter.search}`), this.filter.where && h("span.badge", {}, `where ${this.filter.where}`));
    const target = `#/clip/${encodeURIComponent(card.item.media_id)}?stratum=${encodeURIComponent(this.filter.stratum)}${query(this.filter) ? `&${query(this.filter)}` : ""}`;
    history.replaceState(null, "", target);
    document.querySelector("#main").focus({ preventScroll: true });
  }

  /** Show the clip after another, once however often it is asked for. */
  async next(after) {
    if (!this.isCurrent() || (after && after === this.leaving)) return;
    const isNewest = this.move(), ready = this.ahead;
    this.ahead = null;
    this.leaving = after;
    let card;
    try {
      card = ready && ready.after === after ? await ready.card : null;
      card ??= (await post("/api/next", { filter: this.filter, after })).card;
    } catch (error) {
      if (!this.card) throw error;
      if (!(error instanceof Offline)) toast(error.message, { wrong: true });
      return;
    } finally {
      if (this.leaving === after) this.leaving = null;
    }
    if (card?.item.media_id === after) card = null;
    if (!this.isCurrent()) release(card?.item.media_id);
    if (!isNewest()) return;
    if (after) this.past.push(after);
    if (!card) { await this.finished(isNewest); return; }
    this.show(card);
    this.showStrata();
    this.prefetch(card);
  }

  /** Hold the clip after this one, and load its bytes into the browser's cache. */
  prefetch(card) {
    const after = card.item.media_id;
    const ready = post("/api/next", { filter: this.filter, after }).then(({ card: following }) => {
      if (following && following.item.media_id !== after) fetch(mediaAddress(following)).then((answer) => answer.blob()).catch(() => {});
      return following && following.item.media_id !== after ? following : null;
    }).catch(() => null);
    this.ahead = { after, card: ready };
  }

  async open(mediaId) {
    if (!this.isCurrent()) return;
    const isNewest = this.move(), card = await this.fetchCard(mediaId);
    if (!this.isCurrent()) release(mediaId);
    if (!isNewest()) return;
    this.show(card);
    this.prefetch(card);
  }

  async back() {
    const mediaId = this.past.pop();
    if (mediaId) await this.open(mediaId);
    else toast("This is the first clip of this session.");
  }

  async finished(isNewest) {
    this.view.leave();
    this.card = null;
    const page = await get("/api/queue", { ...this.filter, limit: 1 });
    if (!isNewest()) return;
    fill(this.main, h("h1.sr", {}, "Review queue"), h("div.queue", {}, this.side, h("section.empty", {}, h("h2", {}, page.total ? "All done here" : "Nothing in this queue"),
      h("p", {}, page.total ? `Every one of the ${number(page.total)} clips of this queue has what it needs, or is with somebody else now.` : page.empty_because || "No clip matches."),
      h("div.row", {}, button("List of the queue", { key: "X" }, () => this.list()), button("Undo the last decision", { key: "U" }, () => this.view.undo()), h("a", { href: "#/figures" }, "Figures")))));
    bind("Queue", this.keys());
    bind("Verdict", [["u", "Undo the last decision", () => this.view.undo()]]);
    this.showStrata();
  }

  async goTo(offset) {
    const isNewest = this.move(), page = await get("/api/queue", { ...this.filter, offset, limit: 1 });
    if (!isNewest()) return;
    if (page.items.length) await this.open(page.items[0].media_id);
    else toast(page.empty_because || "There is no clip at that place.");
  }

  async askPlace() {
    const at = await dialog("Go to clip number", (close) => {
      const input = h("input", { type: "number", min: 1, required: true, autofocus: true, "aria-label": "Number" });
      return h("form.row", { on: { submit: (event) => { event.preventDefault(); close(Number(input.value)); } } }, input, h("button.primary", { type: "submit" }, "Go"));
    });
    if (at) await this.goTo(Math.max(0, Math.round(at) - 1));
  }

  async list() {
    const chosen = await dialog("List of the queue", (close) => {
      const box = h("div.list", {}), begin = latest();
      const load = async (offset) => {
        const isNewest = begin();
        const page = await get("/api/queue", { ...this.filter, offset, limit: PAGE });
        if (!isNewest()) return;
        fill(box, page.items.length ? itemList(page.items, (item) => close(item.media_id)) : h("p.quiet", {}, page.empty_because || "No clip matches."),
          h("div.row", {}, button("Before", { disabled: page.offset <= 0 }, () => load(Math.max(0, page.offset - PAGE))),
            h("span.quiet", {}, page.items.length ? `${number(page.offset + 1)} to ${number(page.offset + page.items.length)} of ${number(page.total)}` : ""),
            button("After", { disabled: page.offset + page.items.length >= page.total }, () => load(page.offset + PAGE)),
            button("Last", {}, () => load(Math.max(0, page.total - PAGE)))));
      };
      load(Math.max(0, (this.card?.item.position ?? 0) - 3));
      return box;
    }, { wide: true });
    if (chosen) await this.open(chosen);
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      toast("The address of this clip is copied.");
    } catch {
      toast(location.href);
    }
  }

  reconnect() {
    this.view.player.retry();
    if (this.card) this.showStrata();
  }

  leave() {
    this.view.leave();
    bind("Queue", []);
    this.release();
  }

  /** Give back the clips that are held. */
  release() {
    release(this.card?.item.media_id);
    this.ahead?.card.then((card) => release(card?.item.media_id));
  }
}

const release = (mediaId) => mediaId && post("/api/release", { media_id: mediaId }).catch(() => {});

/** The form of the dialog that assigns; closes with what was done, for people. */
function assignForm(filter, close) {
  const name = h("input", { type: "text", required: true, maxlength: 64, autofocus: true, list: "assign-names" });
  const count = h("input", { type: "number", required: true, min: 1, max: 100000, prop: { value: 50 } });
  const known = h("datalist", { id: "assign-names" }), wrong = h("p.wrong", { role: "alert" });
  const list = h("ul.assigned", {});
  const act = async (work) => {
    try { close(await work()); } catch (error) { if (!(error instanceof ApiError || error instanceof Offline)) throw error; wrong.textContent = error.message; }
  };
  const submit = (event) => {
    event.preventDefault();
    act(async () => {
      const { assigned } = await post("/api/assign", { reviewer: name.value.trim(), count: Number(count.value), filter });
      return assigned ? `${number(assigned)} clips are ${name.value.trim()}'s now: others are not given them.` : "No open clip of this queue is left to assign.";
    });
  };
  const takeBack = (reviewer) => act(async () => `${number((await post("/api/unassign", { reviewer })).unassigned)} clips were taken back from ${reviewer}.`);
  const load = async () => {
    const [{ assigned }, figures] = await Promise.all([get("/api/assigned"), get("/api/figures")]);
    fill(known, [...new Set([session.reviewer, ...assigned.map((each) => each.reviewer), ...Object.keys(figures.reviewers)])].map((value) => h("option", { value })));
    fill(list, assigned.map((each) => h("li.row.spread", {}, h("span", {}, h("strong", {}, each.reviewer), h("span.quiet", {}, ` ${number(each.open)} open of ${number(each.total)}`)),
      each.open > 0 && button("Take back", { class: "small", "aria-label": `Take back the open clips of ${each.reviewer}` }, () => takeBack(each.reviewer)))));
  };
  load().catch((error) => { wrong.textContent = error.message; });
  return [h("p.quiet", {}, "The next open clips of this queue, with its search and filter, go to one reviewer first, and to nobody else."),
    h("form", { on: { submit } }, known, h("div.fields", {}, h("label.field", {}, h("span", {}, "Reviewer"), name), h("label.field", {}, h("span", {}, "Clips"), count)), wrong,
      h("div.row", {}, h("button.primary", { type: "submit" }, "Assign"), button("Cancel", { class: "ghost" }, () => close()))), list];
}

/** Rows of clips, each a button. */
export function itemList(items, open) {
  return h("ul.items", {}, items.map((item) => h("li", {}, h("button.item", { type: "button", on: { click: () => open(item) } },
    h("img", { src: `/media/${item.media_id}/poster`, alt: "", loading: "lazy" }),
    h("span.item-body", {}, h("span.item-text", {}, item.text || `No text${item.outcome ? `: ${item.outcome}` : ""}`),
      h("span.quiet", {}, [`${item.position >= 0 ? `${item.position + 1} · ` : ""}${item.key.slice(0, 8)}`, item.bucket, ...item.reasons].filter(Boolean).join(" · "))),
    item.verdict && h(`span.badge.${item.verdict}`, {}, item.verdict)))));
}

function made(queue) {
  return { leave: () => queue.leave(), abandon: () => queue.release(), back: () => queue.reconnect() };
}

export async function queueView({ main, argument, params, isCurrent }) {
  const queue = new Queue(main, filterOf(argument, params), isCurrent);
  await queue.start("");
  return made(queue);
}

export async function clipView({ main, argument, params, isCurrent }) {
  const queue = new Queue(main, filterOf(params.get("stratum"), params), isCurrent);
  await queue.start(argument);
  return made(queue);
}
