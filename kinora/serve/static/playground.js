// The playground: a form that sends what every client of the interface sends, and what becomes of it.

import { button, fill, h, toast } from "./dom.js";

const VERBS = {
  text: { label: "From text", about: "A new video that shows what the prompt says.", fields: ["seconds", "size", "draft"], inputs: [] },
  animate: { label: "Animate an image", about: "A video that begins with your image.", fields: ["seconds", "size", "draft"], inputs: [["input_reference", "Image", "image/*"]] },
  extend: { label: "Extend", about: "Your video goes on, or gets a new beginning, by as many seconds as you say.", fields: ["seconds", "direction"], inputs: [["video", "Video", "video/*,image/gif"]] },
  edit: { label: "Edit", about: "Your video after another prompt. Strength 0 keeps it, 1 leaves only the prompt.", fields: ["strength", "size"], inputs: [["video", "Video", "video/*,image/gif"]] },
  connect: { label: "Connect", about: "A new part that leads from the first video to the second.", fields: ["seconds", "size"], inputs: [["connect[]", "First video", "video/*,image/gif"], ["connect[]", "Second video", "video/*,image/gif"]] },
  loop: { label: "Loop", about: "A video whose end joins its start; with a video of yours, one that leads back to its start.", fields: ["seconds", "size"], inputs: [["video", "Video (if you like)", "video/*,image/gif"]] },
};
const PATHS = { edit: "/edits", extend: "/extensions" };
const STATUS = { queued: "waits", in_progress: "is made", completed: "done", failed: "failed" };
const PAGE = 12;

const $ = (selector) => document.querySelector(selector);
const form = $("#form");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let verb = "text", inputs = [], shown = null, videos = [], hasMore = false;

/** Talk to the server; an error's message is the server's. */
async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`/v1/videos${path}`, options);
  } catch {
    $("#banner").hidden = false;
    throw new Error("the server does not answer");
  }
  $("#banner").hidden = true;
  const data = await answer.json().catch(() => null);
  if (answer.ok) return data;
  throw Object.assign(new Error(data?.error?.message ?? `the server answered with status ${answer.status}`), { status: answer.status });
}

// ---------------------------------------------------------------- the form

function drawVerbs() {
  fill($("#verbs"), Object.entries(VERBS).map(([name, { label }]) =>
    h("label", {}, h("input", { type: "radio", name: "verb", value: name, checked: name === verb, on: { change: () => choose(name) } }), label)));
}

function choose(name) {
  verb = name;
  const { about, fields, inputs: wanted } = VERBS[name];
  $("#about-verb").textContent = about;
  for (const element of form.querySelectorAll("[data-for]")) element.hidden = !fields.includes(element.dataset.for);
  form.querySelector(`input[value=${name}]`).checked = true;
  inputs = wanted.map(([field, label, accept]) => ({ field, label, accept, file: null, video: null }));
  drawInputs();
}

function drawInputs() {
  fill($("#inputs"), inputs.map((input, place) => {
    const picker = h("input.sr", { type: "file", accept: input.accept, id: `input-${place}`, tabindex: "-1", "aria-label": input.label, on: { change: (event) => give(place, event.target.files[0]) } });
    const is = input.file ?? input.video;
    return h("div.drop", { on: {
      dragover: (event) => { event.preventDefault(); event.currentTarget.classList.add("over"); },
      dragleave: (event) => event.currentTarget.classList.remove("over"),
      drop: (event) => { event.preventDefault(); give(place, event.dataTransfer.files[0]); },
    } },
      h("strong", {}, input.label), picker,
      is ? preview(input) : h("span.quiet", {}, "Drop a file here, or take an earlier video."),
      h("div.row", {},
        button(is ? "Another file" : "Choose a file", { class: "small" }, () => picker.click()),
        is && button("Remove", { class: "small ghost" }, () => { Object.assign(input, { file: null, video: null }); drawInputs(); })));
  }));
}

function preview({ file, video }) {
  if (video) return h("div", {}, h("img", { src: content(video, "thumbnail"), alt: "" }), h("p.quiet.name", {}, video.prompt));
  const name = h("p.quiet.name", {}, `${file.name || "a file"}, ${Math.max(1, Math.round(file.size / 1000))} kB`);
  if (!file.type.startsWith("image/")) return name;
  const canvas = h("canvas", { role: "img", "aria-label": "Your image", width: 1, height: 1 });
  createImageBitmap(file).then((bitmap) => {
    const scale = Math.min(1, 480 / Math.max(bitmap.width, bitmap.height));
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  }, () => canvas.replaceWith(h("p.wrong", {}, "This browser cannot show the image; the server may read it.")));
  return h("div", {}, canvas, name);
}

function give(place, file) {
  if (!file) return;
  Object.assign(inputs[place], { file, video: null });
  drawInputs();
}

/** Take an earlier video as the input of a verb. */
function take(video, name) {
  choose(name);
  inputs[0].video = video;
  drawInputs();
  $("#prompt").focus();
}

function requestOf() {
  const body = new FormData(), value = (name) => form.elements[name].value.trim();
  body.append("prompt", $("#prompt").value.trim());
  for (const input of inputs) {
    if (input.video) body.append(input.field === "connect[]" ? "connect[][id]" : `${input.field}[id]`, input.video.id);
    else if (input.file) body.append(input.field, input.file, input.file.name || "input");
  }
  const { fields } = VERBS[verb];
  for (const name of ["seconds", "size", "strength"]) if (fields.includes(name) && value(name)) body.append(name, value(name));
  for (const name of ["seed", "steps", "guidance", "negative_prompt"]) if (value(name)) body.append(name, value(name));
  if (verb === "extend") body.append("extend", value("direction"));
  if (verb === "loop") body.append("loop", "true");
  if (fields.includes("draft") && form.elements.draft.checked) body.append("draft", "true");
  return body;
}

function missing() {
  if (!$("#prompt").value.trim()) return ["Say what the video shows.", $("#prompt")];
  const needed = inputs.findIndex((input) => !input.file && !input.video && verb !== "loop");
  return needed < 0 ? null : [`Give the ${inputs[needed].label.toLowerCase()}.`, $("#inputs").querySelectorAll("button")[0]];
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const lacks = missing();
  $("#wrong").textContent = lacks?.[0] ?? "";
  if (lacks) return lacks[1]?.focus();
  $("#make").disabled = true;
  try {
    const video = await call(PATHS[verb] ?? "", { method: "POST", body: requestOf() });
    videos.unshift(video);
    show(video);
    drawCards();
    $("#result").scrollIntoView({ block: "nearest" });
  } catch (error) {
    $("#wrong").textContent = error.message;
  } finally {
    $("#make").disabled = false;
  }
});
form.elements.strength.addEventListener("input", (event) => { $("#strength-shown").textContent = event.target.value; });

// -------------------------------------------------------------- the result

const content = (video, variant = "video") => `/v1/videos/${video.id}/content?variant=${variant}`;
const isDone = (video) => ["completed", "failed"].includes(video.status);
const fact = ([name, value]) => value !== null && value !== undefined && value !== "" && h("div", {}, h("dt", {}, name), h("dd", {}, String(value)));

function show(video) {
  const isOther = shown?.id !== video.id || isDone(video) !== isDone(shown);
  shown = video;
  if (!isOther && !isDone(video)) return drawProgress(video);
  fill($("#result"), h("div.stage", {}, stage(video)), h("p", {}, h("strong", {}, video.prompt)),
    h("dl.facts", {}, [["Verb", video.verb.replace("_", " ")], ["Size", video.size], ["Seconds", video.seconds], ["Frames", video.frames], ["Seed", video.seed]].map(fact)),
    video.notes.length > 0 && h("ul.notes", {}, video.notes.map((note) => h("li", {}, note))),
    h("div.row", {}, actions(video)));
  drawProgress(video);
}

function stage(video) {
  if (video.status === "completed") {
    if (video.frames === 1) return h("img", { src: content(video), alt: video.prompt });
    return h("video", { src: content(video), controls: true, loop: true, autoplay: true, playsinline: true, prop: { muted: true }, "aria-label": video.prompt });
  }
  if (video.status === "failed") return h("p.badge.reject", {}, "It could not be made");
  return h("p.badge", { id: "state" }, STATUS[video.status]);
}

function actions(video) {
  const drop = button(isDone(video) ? "Delete" : "Cancel", { class: "small ghost" }, () => remove(video));
  if (video.status === "failed") return [h("p.wrong", { role: "alert" }, video.error.message), drop];
  if (video.status !== "completed") return [h("progress", { id: "progress", max: "100", value: "0", "aria-label": "Progress" }), drop];
  return [
    h("a.button.small", { href: content(video), download: "" }, "Download"),
    button("Extend", { class: "small" }, () => take(video, "extend")),
    button("Edit", { class: "small" }, () => take(video, "edit")),
    button("Loop", { class: "small" }, () => take(video, "loop")),
    button("Same settings", { class: "small" }, () => { $("#prompt").value = video.prompt; form.elements.seed.value = video.seed; form.elements.size.value = video.size; $("#prompt").focus(); }),
    drop,
  ];
}

function drawProgress(video) {
  const bar = $("#progress");
  if (bar) bar.value = video.progress;
  if ($("#state")) $("#state").textContent = video.status === "queued" ? waits(video) : `${video.progress} %`;
}

function waits(video) {
  const before = videos.filter((other) => !isDone(other) && other.created_at <= video.created_at && other.id !== video.id).length;
  return before ? `waits for ${before} other${before > 1 ? "s" : ""}` : "waits";
}

async function remove(video) {
  try {
    await call(`/${video.id}`, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) return toast(error.message, { wrong: true });
  }
  videos = videos.filter((other) => other.id !== video.id);
  if (shown?.id === video.id) {
    shown = null;
    fill($("#result"), h("p.quiet.empty", {}, "The video appears here."));
  }
  drawCards();
  toast(isDone(video) ? "Deleted." : "Cancelled.");
}

// ----------------------------------------------------------- earlier videos

function drawCards() {
  const open = videos.filter((video) => !isDone(video)).length;
  $("#waiting").textContent = open ? `${open} to be made` : "";
  $("#more").hidden = !hasMore;
  fill($("#cards"), videos.map((video) => h("li.card", { "aria-current": video.id === shown?.id ? "true" : null },
    h("button", { type: "button", "aria-label": `Show: ${video.prompt}, ${STATUS[video.status]}`, on: { click: () => { show(video); drawCards(); $("#result").scrollIntoView({ block: "nearest" }); } } },
      h("span.frame", {}, video.status === "completed" ? h("img", { src: content(video, "thumbnail"), alt: "", loading: "lazy" }) : STATUS[video.status]),
      h("span.text", {}, video.prompt)))));
  if (!videos.length) fill($("#cards"), h("li.quiet", {}, "None yet."));
}

async function list(after = null) {
  const page = await call(`?limit=${PAGE}${after ? `&after=${after}` : ""}`);
  const fresh = new Map(page.data.map((video) => [video.id, video]));
  videos = after ? [...videos, ...page.data] : [...page.data, ...videos.filter((video) => !fresh.has(video.id) && video.created_at < (page.data.at(-1)?.created_at ?? 0))];
  hasMore = page.has_more;
  if (page.data[0]) $("#model").textContent = page.data[0].model;
}

$("#more").addEventListener("click", () => list(videos.at(-1)?.id).then(drawCards, (error) => toast(error.message, { wrong: true })));

async function poll() {
  for (;;) {
    const open = videos.filter((video) => !isDone(video));
    if (open.length || !$("#banner").hidden) {
      try {
        const states = videos.map((video) => video.status).join();
        await Promise.all(open.slice(-4).map(async (video) => {
          const now = await call(`/${video.id}`).catch((error) => { if (error.status === 404) return { ...video, status: "failed", error: { message: "it was deleted" } }; throw error; });
          videos = videos.map((other) => (other.id === now.id ? now : other));
          if (shown?.id === now.id) show(now);
        }));
        if (!open.length) await list();
        if (states !== videos.map((video) => video.status).join() || !open.length) drawCards();
      } catch { /* the banner says it */ }
    }
    await pause(open.length ? 500 : 1500);
  }
}

drawVerbs();
choose("text");
try {
  await list();
} catch { /* the banner says it */ }
drawCards();
if (videos[0]) show(videos[0]);
drawCards();
poll();
