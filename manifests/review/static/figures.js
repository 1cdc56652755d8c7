// Progress of the review, and what it says of the whole dataset.

import { get } from "./api.js";
import { fill, h, number } from "./dom.js";

const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`);

export async function figuresView({ main, isCurrent }) {
  const show = async () => {
    const figures = await get("/api/figures");
    if (!isCurrent()) return;
    fill(main, h("div.page.figures", {}, h("h1", {}, "Figures"),
      figures.problem && h("p.wrong", { role: "alert" }, `Decisions are safe in the journal, but could not be committed to the dataset: ${figures.problem}`),
      h("div.tiles", {}, tile(number(figures.reviewed), `of ${number(figures.media)} clips reviewed`, figures.media ? figures.reviewed / figures.media : 0),
        Object.entries(figures.verdicts).map(([verdict, count]) => tile(number(count), verdict)),
        tile(number(figures.disagreements), "disagreements"), tile(number(figures.stale), "whose caption changed since")),
      estimates(figures),
      table("By stratum", ["stratum", "reviewed", "clips"], figures.strata.map((each) => [each.title, each.reviewed, each.size])),
      table("By bucket", ["frames × height × width", "reviewed", "clips"], Object.entries(figures.buckets).map(([name, [size, reviewed]]) => [name, reviewed, size])),
      table("By outcome of the caption", ["outcome", "clips"], Object.entries(figures.outcomes)),
      table("By reviewer", ["reviewer", "clips"], Object.entries(figures.reviewers)),
      h("p.quiet", {}, `As of commit ${figures.commit}. ${figures.uncommitted ? `${number(figures.uncommitted)} decisions are in the journal and will be committed soon.` : "All decisions are committed."}`)));
  };
  await show();
  return { back: show };
}

function tile(value, label, share = null) {
  return h("div.tile", {}, h("strong", {}, value), h("span", {}, label), share !== null && h("progress", { max: 1, value: share, "aria-label": "share reviewed" }));
}

/** Estimates with intervals, where the desk gives them. */
function estimates(figures) {
  const found = figures.estimates ?? [];
  if (!found.length) return null;
  return h("section.panel", { "aria-label": "Estimates" }, h("h2", {}, "Of the whole dataset"), found.map((each) =>
    h("p", {}, h("strong", {}, percent(each.value)), ` ${each.title} `, h("span.quiet", {}, `95 % interval ${percent(each.low)} to ${percent(each.high)}, from ${number(each.n)} reviews${each.needed ? `; ${number(each.needed)} more would halve it` : ""}`))));
}

function table(title, head, rows) {
  if (!rows.length) return null;
  const isShare = head.length === 3;
  return h("section", {}, h("h2", {}, title), h("table", {}, h("caption.sr", {}, title), h("thead", {}, h("tr", {}, head.map((name, column) => h("th", { scope: "col", class: column ? "num" : null }, name)), isShare && h("th", { scope: "col" }, "share"))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value, column) => (column ? h("td.num", {}, number(value)) : h("th", { scope: "row" }, value))),
      isShare && h("td.share", {}, h("progress", { max: 1, value: row[2] ? row[1] / row[2] : 0, "aria-label": percent(row[2] ? row[1] / row[2] : 0) })))))));
}
