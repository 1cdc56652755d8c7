// Talk to the server: sessions, errors for people, and patience when the server is away.

export class ApiError extends Error {
  constructor(status, data) {
    super(data?.error ?? `the server answered with status ${status}`);
    this.status = status;
    this.data = data ?? {};
  }
}

export class Offline extends Error {
  constructor() {
    super("the server does not answer");
  }
}

export const session = { reviewer: "", csrf: "", dataset: "" };
const listeners = new Set();
let online = true;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Call `listener(isOnline)` whenever the server goes or comes back. */
export const onConnection = (listener) => listeners.add(listener);

function setOnline(now) {
  if (now === online) return;
  online = now;
  for (const listener of listeners) listener(now);
  if (!now) poll();
}

async function poll() {
  while (!online) {
    await pause(1500);
    try {
      await openSession();
    } catch (error) {
      if (!(error instanceof Offline)) setOnline(true);
    }
  }
}

async function request(method, path, body, csrf) {
  const headers = { accept: "application/json" };
  if (method !== "GET") {
    headers["content-type"] = "application/json";
    headers["x-csrf-token"] = csrf;
  }
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    setOnline(false);
    throw new Offline();
  }
  const isJson = (answer.headers.get("content-type") ?? "").startsWith("application/json");
  const data = isJson ? await answer.json().catch(() => null) : null;
  if (answer.ok || (answer.status === 409 && data?.kind)) return data;
  const error = new ApiError(answer.status, data);
  error.retryAfter = Number(answer.headers.get("retry-after") ?? 0);
  throw error;
}

async function send(method, path, body) {
  const { csrf } = session;
  try {
    const data = await request(method, path, body, csrf);
    setOnline(true);
    return data;
  } catch (error) {
    if (error instanceof ApiError) setOnline(true);
    throw error;
  }
}

let opening = null;

/** Open the session or take up the one of this browser. Resolves with `{needs_token: true}` where a token is needed. */
export function openSession() {
  opening ??= reopen().finally(() => { opening = null; });
  return opening;
}

/** Until the session has the name of the reviewer nothing is sent in it: a decision would be somebody else's. */
async function reopen() {
  const { reviewer } = session;
  let about = await request("GET", "/api/session");
  if (!about.needs_token) {
    if (reviewer && about.reviewer !== reviewer) about = await request("POST", "/api/session", { reviewer }, about.csrf);
    Object.assign(session, about);
  }
  setOnline(true);
  return about;
}

export async function login(token, reviewer) {
  Object.assign(session, await send("POST", "/api/session", { token, reviewer }));
}

export async function rename(reviewer) {
  Object.assign(session, await send("POST", "/api/session", { reviewer }));
}

async function call(method, path, body, attempts = 4) {
  try {
    return await send(method, path, body);
  } catch (error) {
    if (attempts <= 1 || !(error instanceof ApiError)) throw error;
    if (error.status === 429) await pause(1000 * Math.min(error.retryAfter || 1, 10));
    else if (error.status === 401 || (error.status === 403 && method === "POST")) {
      if ((await openSession()).needs_token) { location.reload(); throw error; }
    } else throw error;
    return call(method, path, body, attempts - 1);
  }
}

export function get(path, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  return call("GET", `${path}${query.size ? `?${query}` : ""}`);
}

export const post = (path, body = {}) => call("POST", path, body);

/** Send until the server has it: the body has an id, and is recorded once however often it is sent. */
export async function postUntilAnswered(path, body) {
  for (;;) {
    try {
      return await post(path, body);
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      await new Promise((resolve) => {
        const back = (now) => { if (now) { listeners.delete(back); resolve(); } };
        listeners.add(back);
        if (online) back(true);
      });
    }
  }
}

/** Returns a function to call before each request for one place of a page. What it returns tells whether no later
 * request has begun: answers come in any order, and only the newest may be shown. */
export function latest() {
  let newest = 0;
  return () => { const mine = ++newest; return () => mine === newest; };
}
