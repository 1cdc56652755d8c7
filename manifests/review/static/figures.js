// Progress of the review, and what it says of the whole dataset.

import { get } from "./api.js";
import { fill, h, number } from "./dom.js";

const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`);
const between = ([low, high]) => `${percent(low)} to ${percent(high)}`;

export async function figuresView({ main, isCurrent }) {
  const show = async () => {
    const figures = await get("/api/figures");
    if (!isCurrent()) return;
    const whole = h("div", {}, h("p.quiet", {}, "Computing what the reviews say of the whole dataset…"));
    fill(main, h("div.page.figures", {}, h("h1", {}, "Figures"),
      figures.problem && h("p.wrong", { role: "alert" }, `Decisions are safe in the journal, but could not be committed to the dataset: ${figures.problem}`),
      h("div.tiles", {}, tile(number(figures.reviewed), `of ${number(figures.media)} clips reviewed`, figures.media ? figures.reviewed / figures.media : 0),
        Object.entries(figures.verdicts).map(([verdict, count]) => tile(number(count), verdict)),
        tile(number(figures.disagreements), "disagreements"), tile(number(figures.stale), "whose caption changed since")),
      whole,
      table("By stratum", ["stratum", "reviewed", "clips"], figures.strata.map((each) => [each.title, each.reviewed, each.size])),
      table("By reviewer", ["reviewer", "clips"], Object.entries(figures.reviewers))));
    get("/api/quality").then((quality) => { if (isCurrent()) fill(whole, wholeDataset(quality)); })
      .catch((error) => { if (isCurrent()) fill(whole, h("p.wrong", { role: "alert" }, error.message)); });
  };
  await show();
  return { back: show };
}

function tile(value, label, share = null) {
  return h("div.tile", {}, h("strong", {}, value), h("span", {}, label), share !== null && h("progress", { max: 1, value: share, "aria-label": "share reviewed" }));
}

/** Estimates of the whole dataset, agreement of reviewers, and comparisons of versions. */
function wholeDataset(quality) {
  const { wrong_captions: captions, agreements, comparisons } = quality;
  const { wrong } = captions;
  const more = Object.values(captions.more).reduce((sum, count) => sum + count, 0);
  const left = Object.entries(captions.left_out);
  return [
    h("section.panel", { "aria-label": "Wrong captions" }, h("h2", {}, "Wrong captions in the whole dataset"),
      wrong.share === null ? h("p.quiet", {}, "No caption was reviewed yet.") : [
        h("p.estimate", {}, h("strong", {}, percent(wrong.share)), h("span", {}, ` 95 % interval ${between(wrong.interval)}, from ${number(wrong.reviewed)} reviews of ${number(wrong.size)} captions.`)),
        wrong.not_covered.length > 0 && h("p.quiet", {}, `With the parts without a review: ${between(wrong.whole)}. Without one: ${wrong.not_covered.slice(0, 5).join(", ")}${wrong.not_covered.length > 5 ? "…" : ""}.`),
        h("p.quiet", {}, `${percent(captions.edited.share)} were edited and ${percent(captions.rejected.share)} rejected. ${more ? `${number(more)} more reviews would halve the interval.` : ""}`),
        left.length > 0 && h("p.quiet", {}, `Not counted: ${left.map(([reason, count]) => `${number(count)} ${reason}`).join(", ")}.`)]),
    table("Agreement of two reviewers", ["reviewers", "Cohen's kappa", "95 % interval"], agreements.map(({ first, second, agreement }) =>
      [`${first} and ${second}`, agreement.kappa === null ? "–" : number(agreement.kappa), agreement.interval.map((bound) => bound.toFixed(2)).join(" to ")]), false),
    table("Blind comparisons", ["version", "win rate", "95 % interval"], comparisons.map(({ version, other_version, win_rate }) =>
      [`${version} against ${other_version}`, percent(win_rate.rate), between(win_rate.interval)]), false),
    table("Coverage by bucket", ["bucket", "reviewed", "clips"], coverage(quality.buckets)),
    table("Coverage by outcome", ["outcome of the caption", "reviewed", "clips"], coverage(quality.outcomes)),
    table("Coverage by length", ["text", "reviewed", "captions"], Object.entries(quality.lengths).map(([name, each]) => [name, each.reviewed, each.captions])),
    table("Rejected by reviewers", ["reason", "clips"], Object.entries(quality.rejected)),
    table("Dropped by the selection", ["reason", "clips"], Object.entries(quality.drops)),
  ];
}

const coverage = (groups) => Object.entries(groups).map(([name, each]) => [name, each.reviewed, each.media]);

function table(title, head, rows, isShare = head.length === 3) {
  if (!rows.length) return null;
  return h("section", {}, h("h2", {}, title), h("table", {}, h("caption.sr", {}, title), h("thead", {}, h("tr", {}, head.map((name, column) => h("th", { scope: "col", class: column ? "num" : null }, name)), isShare && h("th", { scope: "col" }, "share"))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value, column) => (column ? h("td.num", {}, number(value)) : h("th", { scope: "row" }, value))),
      isShare && h("td.share", {}, h("progress", { max: 1, value: row[2] ? row[1] / row[2] : 0, "aria-label": percent(row[2] ? row[1] / row[2] : 0) })))))));
}
