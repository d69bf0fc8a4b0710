// Requests to Waypost. Its index says what it has, so that nobody asks for the rest; what it refuses is remembered for a while.

const kTimeoutMs = 5000;
const kAskAgainMs = 60000;
let index = null;  // paths that it has; null: not asked yet
const refused = new Map();  // path -> when

/** `status` 0: no answer came. `message` is what a person should read. */
export class ApiError extends Error {
  constructor(status, message, timedOut = false) {
    super(message);
    this.status = status;
    this.timedOut = timedOut;
  }
}

async function request(method, path, body, accept) {
  let response;
  try {
    response = await fetch(path, {
      method,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
      signal: AbortSignal.timeout(kTimeoutMs),
      // No form of another site can send the last two.
      headers: {Accept: accept, ...(method === "GET" ? {} : {"Content-Type": "application/json", "X-Waypost": "1"})},
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    const timedOut = error.name === "TimeoutError";
    throw new ApiError(0, timedOut ? `It has not answered for ${kTimeoutMs / 1000} s.` : "The connection is refused or broken.", timedOut);
  }
  const text = await response.text().catch(() => { throw new ApiError(0, "The answer broke off."); });
  if (response.ok) return text;
  let problem = {};
  try { problem = JSON.parse(text); } catch { /* not a problem document */ }
  throw new ApiError(response.status, [problem.title, problem.detail].filter(Boolean).join(": ") || `HTTP ${response.status}`);
}

const parsed = (text) => {
  if (text === "") return null;
  try { return JSON.parse(text); } catch { throw new ApiError(0, "The answer is not JSON."); }
};

export const getText = (path) => request("GET", path, undefined, "text/plain");
export const get = async (path) => parsed(await request("GET", path, undefined, "application/json"));
export const send = async (method, path, body) => parsed(await request(method, path, body, "application/json"));

/** null: this Waypost has no such thing, or does not show it to this reader (401, 403). */
export async function getIfThere(path) {
  const name = path.split("?")[0];
  index ??= new Set((await get("/api/v1")).endpoints.map((endpoint) => endpoint.path));
  if (!index.has(name) || Date.now() - (refused.get(name) ?? -kAskAgainMs) < kAskAgainMs) return null;
  try {
    return await get(path);
  } catch (error) {
    if (![401, 403, 404].includes(error.status)) throw error;
    refused.set(name, Date.now());
    return null;
  }
}
/** After a log-in, or a restart of Waypost: ask again. */
export function forgetWhatIsThere() {
  index = null;
  refused.clear();
}
