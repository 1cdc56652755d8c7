// Plays one clip: looped, at any speed, forward and backward, frame by frame.

import { latest } from "./api.js";
import { button, fill, h, icon, seconds } from "./dom.js";
import { settings, SPEEDS, speed } from "./settings.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Player {
  constructor() {
    this.video = h("video", { muted: true, playsinline: true, preload: "auto", loop: true, prop: { muted: true, loop: true } });
    this.image = h("img.still", { alt: "" });
    this.problem = h("div.problem", { role: "alert", hidden: true });
    this.stage = h("div.stage", {}, this.video, this.image, this.problem);
    this.slider = h("input.timeline", { type: "range", min: 0, step: 1, "aria-label": "Frame",
      on: { input: () => this.seek(Number(this.slider.value), true) } });
    this.range = h("div.span-mark", { hidden: true });
    this.time = h("output.time", {});
    this.playButton = h("button.icon-button", { type: "button", "aria-label": "Play or pause", "aria-keyshortcuts": "Space", on: { click: () => this.toggle() } }, icon("pause"));
    this.speedSelect = h("select.speed", { "aria-label": "Speed", on: { change: () => this.setSpeed(Number(this.speedSelect.value)) } },
      SPEEDS.map((rate) => h("option", { value: rate }, `${rate}×`)));
    const step = (symbol, label, by) => h("button.icon-button", { type: "button", "aria-label": label, on: { click: () => this.step(by) } }, symbol);
    this.controls = h("div.controls", {}, this.playButton, step("‹", "One frame back", -1), step("›", "One frame forward", 1),
      h("div.track", {}, this.slider, this.range), this.time, this.speedSelect);
    this.element = h("section.player", { "aria-label": "Clip" }, this.stage, this.controls);
    this.direction = 1;
    this.span = null;
    this.wanted = null;
    this.begin = latest();
    for (const event of ["play", "pause"]) this.video.addEventListener(event, () => this.show());
    this.video.addEventListener("error", () => this.explain());
    this.video.addEventListener("loadeddata", () => { this.problem.hidden = true; });
    this.video.addEventListener("seeking", () => {
      if (this.wanted !== null && this.frameAt(this.video.currentTime) !== this.wanted) this.wanted = null;
    });
    this.watch();
  }

  /** Show a clip: its file, frames and rate come from the card. */
  load(card, attempt = 0) {
    this.stopReverse();
    this.begin();
    this.card = card;
    this.span = this.wanted = null;
    this.range.hidden = true;
    this.problem.hidden = true;
    this.isImage = card.file.extension === "png";
    const address = mediaAddress(card) + (attempt ? `&attempt=${attempt}` : "");
    this.video.hidden = this.controls.hidden = this.isImage;
    this.image.hidden = !this.isImage;
    if (this.isImage) {
      this.video.removeAttribute("src");
      this.image.onerror = () => this.explain();
      this.image.src = address;
      this.image.alt = "The still of this clip";
      return;
    }
    this.image.removeAttribute("src");
    this.slider.max = Math.max(0, card.num_frames - 1);
    this.video.poster = `/media/${card.item.media_id}/poster`;
    this.video.setAttribute("aria-label", `Clip of ${seconds(card.item.duration_s)}, ${card.num_frames} frames`);
    this.video.src = address;
    this.setSpeed(speed.value);
    if (!calm.matches) this.play();
    this.show();
  }

  get fps() { return this.card?.fps || 1; }

  /** The frame that is shown, or that is on its way after a seek, counted from 0. */
  get frame() {
    return this.wanted ?? this.frameAt(this.mediaTime ?? this.video.currentTime);
  }

  frameAt(time_s) {
    return Math.max(0, Math.min(this.card.num_frames - 1, Math.floor(time_s * this.fps + 0.01)));
  }

  get time_s() { return this.frame / this.fps; }

  play() {
    this.stopReverse();
    this.direction = 1;
    this.video.playbackRate = speed.value;
    this.video.play().catch((error) => { if (error.name === "NotAllowedError") this.show(); });
  }

  pause() {
    this.stopReverse();
    this.video.pause();
  }

  toggle() {
    if (this.video.paused && !this.reversing) this.play();
    else this.pause();
  }

  /** L: play, and faster when it plays already. */
  forward() {
    if (!this.video.paused && !this.reversing) this.faster(1);
    else this.play();
  }

  /** J: play backward, and faster when it does already. */
  backward() {
    if (this.reversing) return this.faster(1);
    this.video.pause();
    this.wanted = null;
    let last = performance.now(), at = this.video.currentTime;
    const tick = (now) => {
      const [start, end] = this.bounds();
      at -= ((now - last) / 1000) * speed.value;
      last = now;
      if (at < start) at = end - 0.5 / this.fps;
      if (!this.video.seeking) this.video.currentTime = at;
      this.reversing = requestAnimationFrame(tick);
    };
    this.reversing = requestAnimationFrame(tick);
    return this.show();
  }

  stopReverse() {
    if (this.reversing) cancelAnimationFrame(this.reversing);
    this.reversing = 0;
  }

  /** Step by frames; the clip is paused then. */
  step(by) {
    if (this.isImage) return;
    const frame = this.frame;
    this.pause();
    const count = this.card.num_frames;
    this.seek((frame + by + count) % count, true);
  }

  /** Jump by seconds, within the clip. */
  jump(by_s) {
    const frame = Math.round(this.frame + by_s * this.fps);
    this.seek(Math.max(0, Math.min(this.card.num_frames - 1, frame)));
  }

  /** Go to the middle of a frame's time, so that no rounding shows its neighbour. */
  seek(frame, pausing = false) {
    if (this.isImage) return;
    if (pausing) this.pause();
    this.wanted = frame;
    this.video.currentTime = (frame + 0.5) / this.fps;
    this.show();
  }

  setSpeed(rate) {
    speed.value = rate;
    this.video.playbackRate = this.video.defaultPlaybackRate = rate;
    this.speedSelect.value = String(rate);
  }

  faster(by) {
    const at = SPEEDS.indexOf(speed.value);
    this.setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (at < 0 ? 4 : at) + by))]);
  }

  /** Loop within a span `{start_s, end_s}`; the whole clip with null. */
  setSpan(span) {
    this.span = span;
    this.range.hidden = !span;
    if (span) {
      const whole = this.card.num_frames / this.fps;
      this.range.style.left = `${(100 * span.start_s) / whole}%`;
      this.range.style.width = `${(100 * (span.end_s - span.start_s)) / whole}%`;
    }
  }

  bounds() {
    const whole = this.card ? this.card.num_frames / this.fps : 0;
    return this.span ? [this.span.start_s, this.span.end_s] : [0, whole];
  }

  watch() {
    const onFrame = (_, frame) => {
      this.arrived(frame.mediaTime);
      if (this.span && !this.video.paused && !this.video.seeking) {
        const [start, end] = this.bounds();
        if (frame.mediaTime >= end - 0.01 || frame.mediaTime < start - 0.05) this.video.currentTime = start + 0.5 / this.fps;
      }
      this.show();
      this.video.requestVideoFrameCallback(onFrame);
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(onFrame);
    else this.video.addEventListener("timeupdate", () => this.show());
  }

  /** Take the time of a frame on the screen, unless it is an older one that comes after a seek to another. */
  arrived(time_s) {
    const running = !this.video.paused && !this.video.seeking;
    if (this.card && this.wanted !== null && !running && this.frameAt(time_s) !== this.wanted) return;
    this.wanted = null;
    this.mediaTime = time_s;
  }

  show() {
    if (!this.card || this.isImage) return;
    const running = !this.video.paused || this.reversing;
    if (this.running !== running) {
      this.running = running;
      fill(this.playButton, icon(running ? "pause" : "play"));
    }
    const frame = this.frame;
    this.slider.value = frame;
    this.time.textContent = `${frame + 1} / ${this.card.num_frames}  ${this.time_s.toFixed(2)} s`;
  }

  /** Say why the media does not play. */
  async explain() {
    const { card } = this, isNewest = this.begin();
    if (!card) return;
    let why = "the browser cannot decode this file";
    try {
      const answer = await fetch(mediaAddress(card), { headers: { range: "bytes=0-0" } });
      if (!answer.ok) why = (await answer.json()).error;
    } catch {
      why = "the server does not answer; the clip is loaded again when it is back";
    }
    if (!isNewest()) return;
    this.problem.hidden = false;
    fill(this.problem, h("strong", {}, "This clip cannot be shown"), h("p", {}, why),
      h("p.quiet", {}, "You can still read, reject or flag its caption, or go on to the next clip."),
      button("Try again", {}, () => this.load(card, Date.now())));
  }

  /** Load again what failed, when the server is back. */
  retry() {
    if (this.card && !this.problem.hidden) this.load(this.card, Date.now());
  }

  /** The keys of the player, for `bind`. */
  keys() {
    return [
      ["Space", "Play or pause", () => this.toggle()],
      ["j", "Play backward; again: faster", () => this.backward()],
      ["k", "Pause", () => this.pause()],
      ["l", "Play forward; again: faster", () => this.forward()],
      [",", "One frame back", () => this.step(-1)],
      [".", "One frame forward", () => this.step(1)],
      ["<", "Jump back", () => this.jump(-settings.jump)],
      [">", "Jump forward", () => this.jump(settings.jump)],
      ["[", "Slower", () => this.faster(-1)],
      ["]", "Faster", () => this.faster(1)],
      ["=", "Normal speed", () => this.setSpeed(1)],
    ];
  }
}

/** The address of a clip's bytes, which changes with them. */
export const mediaAddress = (card) => `/media/${card.item.media_id}?v=${encodeURIComponent(card.file.digest)}`;

/** A small video of the source, looped, with the browser's own controls. */
export function aroundVideo(address, label, { width, height }) {
  const video = h("video", { src: address, controls: true, playsinline: true, loop: true, autoplay: !calm.matches, "aria-label": label, prop: { muted: true } });
  video.style.aspectRatio = `${width} / ${height}`;
  const box = h("figure.strip", {}, video);
  video.addEventListener("error", () => explainStrip(box, address));
  return box;
}

async function explainStrip(box, address) {
  let why = "it could not be loaded";
  try {
    const answer = await fetch(address);
    if (!answer.ok) why = (await answer.json()).error ?? why;
  } catch { /* the message above says it */ }
  fill(box, h("figcaption.quiet", {}, `No pictures: ${why}`));
  box.classList.add("failed");
}

/** A strip of pictures, of which each is a button. */
export function strip(address, labels, act, { label, current = -1 }) {
  const image = h("img", { src: address, alt: "", loading: "lazy" });
  const cells = labels.map((text, index) => h(act ? "button.cell" : "span.cell", {
    type: act ? "button" : null, "aria-current": index === current ? "true" : null,
    on: act ? { click: () => act(index) } : {} }, h("span", {}, text)));
  const box = h("figure.strip", { "aria-label": label }, image, h("div.cells", {}, cells));
  box.style.setProperty("--cells", labels.length);
  image.addEventListener("error", () => explainStrip(box, address));
  return box;
}
