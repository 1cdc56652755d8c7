// The difference of two texts, word by word.

import { h } from "./dom.js";

const MAX_CELLS = 4_000_000;
const words = (text) => text.match(/\s+|[\p{L}\p{N}'’-]+|[^\s\p{L}\p{N}]/gu) ?? [];

/** Return parts `{kind: "same" | "del" | "ins", text}` that turn `before` into `after`. */
export function wordDiff(before, after) {
  const a = words(before), b = words(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const middle = lcs(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  const same = (list) => list.map((text) => ({ kind: "same", text }));
  return merge([...same(a.slice(0, head)), ...middle, ...same(tail ? a.slice(-tail) : [])]);
}

function lcs(a, b) {
  if (a.length * b.length > MAX_CELLS) return [{ kind: "del", text: a.join("") }, { kind: "ins", text: b.join("") }];
  const width = b.length + 1;
  const best = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      best[at] = a[i] === b[j] ? best[at + width + 1] + 1 : Math.max(best[at + width], best[at + 1]);
    }
  }
  const parts = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { parts.push({ kind: "same", text: a[i] }); i++; j++; }
    else if (j >= b.length || (i < a.length && best[(i + 1) * width + j] >= best[i * width + j + 1])) parts.push({ kind: "del", text: a[i++] });
    else parts.push({ kind: "ins", text: b[j++] });
  }
  return parts;
}

/** Join neighbours of a kind, with deletions before insertions. */
function merge(parts) {
  const merged = [];
  let del = "", ins = "";
  const flush = () => {
    if (del) merged.push({ kind: "del", text: del });
    if (ins) merged.push({ kind: "ins", text: ins });
    del = ins = "";
  };
  parts.forEach(({ kind, text }, index) => {
    const bridges = kind === "same" && /^\s+$/.test(text) && (del || ins) && parts[index + 1] && parts[index + 1].kind !== "same";
    if (bridges) { del += text; ins += text; }
    else if (kind === "del") del += text;
    else if (kind === "ins") ins += text;
    else {
      flush();
      if (merged.at(-1)?.kind === "same") merged.at(-1).text += text;
      else merged.push({ kind, text });
    }
  });
  flush();
  return merged;
}

/** Make a paragraph that shows how `before` became `after`. */
export function diffElement(before, after, label = "Changes") {
  return h("p.text.diff", { role: "group", "aria-label": label }, wordDiff(before, after).map(({ kind, text }) =>
    kind === "same" ? text : h(kind, {}, h("span.sr", {}, kind === "del" ? " removed: " : " added: "), text)));
}
