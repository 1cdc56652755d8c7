// What this browser remembers: settings for good, speed and theme for the session, drafts until they are saved.

import { session } from "./api.js";

export const SPEEDS = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4];
const DEFAULTS = {
  theme: "auto",
  jump: 1,
  snippets: ["The camera stands still.", "The camera pans.", "In the background, ", "", "", "", "", "", ""],
  reasons: ["wrong subject", "wrong action", "invented details", "poor picture", "more than one shot", "text or logo", "", "", ""],
};

function read(store, key, fallback) {
  try {
    const text = store.getItem(`kinora.review.${key}`);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

function write(store, key, value) {
  try {
    if (value === null) store.removeItem(`kinora.review.${key}`);
    else store.setItem(`kinora.review.${key}`, JSON.stringify(value));
    return true;
  } catch {
    return false; // storage is full or switched off: the caller says so
  }
}

export const settings = { ...DEFAULTS, ...read(localStorage, "settings", {}) };

export function saveSettings(changes) {
  Object.assign(settings, changes);
  applyTheme();
  return write(localStorage, "settings", settings);
}

export function applyTheme() {
  if (settings.theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = settings.theme;
}

export const speed = {
  get value() { return read(sessionStorage, "speed", 1); },
  set value(rate) { write(sessionStorage, "speed", rate); },
};

const draftKey = (mediaId, length) => `draft.${session.dataset}.${session.reviewer}.${mediaId}.${length}`;

/** Text of an edit that was not saved yet, with the caption that it began from: `{text, base, at}` or null. */
export const readDraft = (mediaId, length) => read(localStorage, draftKey(mediaId, length), null);

export const saveDraft = (mediaId, length, text, base) =>
  write(localStorage, draftKey(mediaId, length), { text, base, at: Date.now() });

export const dropDraft = (mediaId, length) => write(localStorage, draftKey(mediaId, length), null);

/** Decisions of this session that can be undone, the newest last: `{target, mediaId, text}`. */
export const undoStack = {
  push(entry) { write(sessionStorage, "undo", [...read(sessionStorage, "undo", []), entry].slice(-100)); },
  pop() {
    const all = read(sessionStorage, "undo", []);
    const last = all.pop() ?? null;
    write(sessionStorage, "undo", all);
    return last;
  },
};
