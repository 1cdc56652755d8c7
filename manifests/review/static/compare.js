// Blind comparison of two caption versions: which text describes the clip better?

import { ApiError, get, latest, post, postUntilAnswered } from "./api.js";
import { LENGTHS } from "./captions.js";
import { button, fill, h, newId, number, toast } from "./dom.js";
import { bind } from "./keys.js";
import { Player } from "./player.js";
import { undoStack } from "./settings.js";

export async function compareView({ main, params, isCurrent }) {
  const { versions } = await get("/api/versions");
  if (!isCurrent()) return null;
  if (versions.length < 2) {
    fill(main, h("section.empty", {}, h("h1", {}, "Compare"), h("p", {}, "A comparison needs two caption versions; this dataset has ", number(versions.length), ". ", h("code", {}, "kinora caption"), " with another captioner adds one.")));
    return null;
  }
  const known = (name, fallback) => (versions.includes(params.get(name)) ? params.get(name) : fallback);
  const chosen = { version: known("a", versions[0]), other_version: known("b", versions[1]) };
  const player = new Player();
  const body = h("div.pair", {}, h("p.quiet", {}, "Loading…"));
  const score = h("p.quiet.score", { "aria-live": "polite" });
  const begin = latest();
  let pair = null, busy = false;

  const pick = (field, label) => h("label.field.grow", {}, h("span", {}, label), h("select", { on: { change: (event) => { chosen[field] = event.target.value; next(); } } },
    versions.map((version) => h("option", { value: version, prop: { selected: version === chosen[field] } }, version))));

  async function showScore(isNewest) {
    const votes = await get("/api/compare/votes", chosen);
    if (!isNewest()) return;
    const total = votes.wins + votes.losses + votes.ties;
    score.textContent = total === 0 ? "No votes yet."
      : `${number(total)} votes: ${chosen.version} better ${number(votes.wins)} times, ${chosen.other_version} ${number(votes.losses)} times, alike ${number(votes.ties)} times. `
        + `Win rate ${percent(votes.win_rate)}, 95 % interval ${percent(votes.low)} to ${percent(votes.high)}.`;
  }

  async function next() {
    const begun = begin(), isNewest = () => begun() && isCurrent();
    history.replaceState(null, "", `#/compare?a=${encodeURIComponent(chosen.version)}&b=${encodeURIComponent(chosen.other_version)}`);
    pair = null;
    if (chosen.version === chosen.other_version) { fill(body, h("p.quiet", {}, "Choose two different versions.")); return; }
    try {
      const found = (await post("/api/compare/next", chosen)).pair;
      if (!isNewest()) return;
      if (!found) { player.pause(); await showScore(isNewest); if (isNewest()) fill(body, h("section.empty", {}, h("h2", {}, "All compared"), h("p", {}, "You voted on every clip on which these two differ."))); return; }
      const card = await get(`/api/cards/${encodeURIComponent(found.media_id)}`, { hold: "0" });
      if (!isNewest()) return;
      pair = found; // what is shown, and nothing else, can be voted on
      busy = false;
      fill(body, player.element, side("left", "Left", "1"), side("right", "Right", "2"),
        h("div.verdicts", { role: "toolbar", "aria-label": "Vote" }, button("Left is better", { key: "1" }, () => vote("left")), button("Alike", { key: "0" }, () => vote("tie")), button("Right is better", { key: "2" }, () => vote("right")),
          button("Undo", { key: "U", symbol: "undo", class: "ghost" }, undo),
          h("span.quiet", {}, `${number(pair.position + 1)} of ${number(pair.total)}`)));
      player.load(card);
      bind("Clip", player.isImage ? [] : player.keys());
      await showScore(isNewest);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!isNewest()) return;
      fill(body, h("p.wrong", { role: "alert" }, error.message));
    }
  }

  const side = (name, title, key) => h("section.panel.side", { "aria-label": title }, h("h2", {}, title, " ", h("kbd", { "aria-hidden": "true" }, key)),
    LENGTHS.filter((length) => pair[name][length]).map((length) => [h("h3", {}, length), h("p.text", {}, pair[name][length])]));

  async function vote(choice) {
    if (!pair || busy) return;
    busy = true;
    try {
      const review_id = newId();
      const saved = await postUntilAnswered("/api/compare/vote", { pair_id: pair.pair_id, choice, review_id });
      undoStack.push({ target: saved.review_id, mediaId: "", text: "vote" });
      await next();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`Not saved: ${error.message}`, { wrong: true });
    } finally {
      busy = false;
    }
  }

  /** Take back the last decision of this session; after a vote its pair is the next one again. */
  async function undo() {
    const last = undoStack.pop();
    if (!last) { toast("Nothing to undo in this session."); return; }
    try {
      const answer = await postUntilAnswered("/api/undo", { target: last.target, review_id: newId() });
      toast(answer.kind === "conflict" ? "Not undone: somebody decided on it since." : `Undone: ${last.text}.`, { wrong: answer.kind === "conflict" });
      await next();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`Not undone: ${error.message}`, { wrong: true });
    }
  }

  fill(main, h("div.page.compare", {}, h("h1", {}, "Compare"), h("p.quiet", {}, "Which text describes the clip better? The sides are drawn anew for each clip, and their versions are not shown."),
    h("div.row.pickers", {}, pick("version", "Version"), pick("other_version", "against")), score, body));
  bind("Vote", [["1 ArrowLeft", "Left is better", () => vote("left")], ["2 ArrowRight", "Right is better", () => vote("right")], ["0", "Alike", () => vote("tie")], ["u", "Undo the last vote", undo]]);
  await next();
  if (!isCurrent()) return null;
  document.querySelector("#main").focus({ preventScroll: true });
  return { leave: () => { player.pause(); bind("Vote", []); bind("Clip", []); }, back: () => (pair ? player.retry() : next()) };
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
