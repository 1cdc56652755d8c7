// Clips on which reviewers differ: their opinions side by side, one key each.

import { ApiError, get, latest, postUntilAnswered } from "./api.js";
import { longestOf, verdictWord } from "./captions.js";
import { diffElement } from "./diff.js";
import { button, fill, h, newId, number, toast } from "./dom.js";
import { bind } from "./keys.js";
import { Player } from "./player.js";
import { undoStack } from "./settings.js";

export async function disagreementsView({ main, isCurrent }) {
  const player = new Player();
  const body = h("div", {}, h("p.quiet", {}, "Loading…"));
  const begin = latest();
  let all = [], at = 0, busy = false;

  async function load() {
    const begun = begin(), found = (await get("/api/disagreements", { limit: 200 })).disagreements;
    if (!begun() || !isCurrent()) return;
    all = found;
    at = Math.min(at, Math.max(0, all.length - 1));
    await show();
  }

  async function show() {
    const begun = begin(), each = all[at];
    if (!each) {
      player.pause();
      for (const scope of ["Clip", "Disagreement"]) bind(scope, []);
      fill(body, h("section.empty", {}, h("h2", {}, "Nobody differs"), h("p", {}, "When two reviewers decide differently on a clip, it is listed here, and you choose whose decision stands."), h("a", { href: "#/queue" }, "Back to the queue")));
      return;
    }
    const card = await get(`/api/cards/${encodeURIComponent(each.item.media_id)}`, { hold: "0" });
    if (!begun() || !isCurrent()) return;
    fill(body, h("div.row.spread", {}, h("p.quiet", {}, `${number(at + 1)} of ${number(all.length)}`), h("a", { href: `#/clip/${each.item.media_id}` }, "Open the clip")),
      h("div.pair", {}, player.element, each.sides.map((side, index) => opinion(each, side, index))),
      h("div.verdicts", { role: "toolbar", "aria-label": "Whose decision stands" }, h("span.quiet", {}, "Whose decision stands?"), each.sides.map((side, index) => button(side.reviewer, { key: String(index + 1) }, () => settle(each, index))),
        button("Next", { key: "N", class: "ghost" }, () => move(1))));
    player.load(card);
    bind("Clip", player.isImage ? [] : player.keys());
    bind("Disagreement", [...each.sides.map((side, index) => [String(index + 1), `The decision of ${side.reviewer} stands`, () => settle(each, index)]), ["n ArrowRight", "Next", () => move(1)], ["p ArrowLeft", "The one before", () => move(-1)]]);
  }

  const opinion = (each, side, index) => {
    const length = longestOf({ ...each.caption, ...side.texts });
    return h("section.panel.side", { "aria-label": side.reviewer }, h("h2", {}, side.reviewer, " ", h("kbd", { "aria-hidden": "true" }, String(index + 1))),
      h("p", {}, h(`span.badge.${side.verdict}`, {}, verdictWord(side.verdict)), side.reason && ` ${side.reason}`, side.note && h("span.quiet", {}, ` “${side.note}”`),
        side.start_s !== null && h("span.quiet", {}, ` ${number(side.start_s)} to ${number(side.end_s)} s`)),
      Object.entries(side.texts).map(([name, text]) => [h("h3", {}, name), diffElement(each.caption[name] ?? "", text, `${name} caption, as ${side.reviewer} changed it`)]),
      !Object.keys(side.texts).length && h("p.text", {}, each.caption[length] ?? ""));
  };

  function move(by) {
    if (!all.length) return;
    at = (at + by + all.length) % all.length;
    show();
  }

  async function settle(each, side) {
    if (busy) return;
    busy = true;
    const review_id = newId();
    try {
      const answer = await postUntilAnswered("/api/adjudicate", { media_id: each.item.media_id, side, saw: each.saw, review_id });
      if (answer.kind === "conflict") toast(`Not settled: ${answer.newest.reviewer} decided on this clip meanwhile. It is shown as it is now.`, { wrong: true });
      else {
        undoStack.push({ target: review_id, mediaId: each.item.media_id, text: "settled" });
        toast(`The decision of ${each.sides[side].reviewer} stands.`);
      }
      await load();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`Not settled: ${error.message}`, { wrong: true });
    } finally {
      busy = false;
    }
  }

  fill(main, h("div.page", {}, h("h1", {}, "Disagreements"), body));
  await load();
  if (!isCurrent()) return null;
  document.querySelector("#main").focus({ preventScroll: true });
  return { leave: () => { player.pause(); bind("Disagreement", []); bind("Clip", []); }, back: load };
}
