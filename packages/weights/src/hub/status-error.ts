import { FtError } from "@ft/tensor";
import type { Answer } from "./request.ts";
import { Transient } from "./transient.ts";

/** An answer that is a refusal. */
export interface Refusal {
  readonly answer: Answer;
  /** body, where the hub sometimes says more */
  readonly text: string;
  readonly what: string;
  readonly id: string;
  readonly endpoint: string;
  readonly token: string | undefined;
}

/** What a refusal means and what to do: an FtError, or `Transient` for the statuses that pass (408, 429, 5xx). */
export function statusError({ answer, text, what, id, endpoint, token }: Refusal): FtError | Transient {
  const { status } = answer;
  const code = answer.header("x-error-code");
  const page = `${endpoint}/${id}`;
  if (code === "GatedRepo" || (status === 403 && token === undefined))
    return new FtError(
      "config",
      `${what}: ${id} is gated (${status})`,
      token === undefined
        ? `accept its licence at ${page}, then set HF_TOKEN to a token of that account (${endpoint}/settings/tokens)`
        : `accept its licence at ${page} with the account of HF_TOKEN`,
    );
  if (status === 401 && token === undefined)
    // without a token, the hub says 401 of models that do not exist as well
    return new FtError(
      "missing",
      `${what}: ${id} does not exist, or is private or gated (401)`,
      `check the id at ${page}; if it is right, set HF_TOKEN (${endpoint}/settings/tokens) and accept the licence there`,
    );
  if (status === 401)
    return new FtError(
      "config",
      `${what}: the hub refuses the token (401)`,
      `make a new one at ${endpoint}/settings/tokens and set HF_TOKEN to it, or unset it for public models`,
    );
  if (status === 403)
    return new FtError(
      "config",
      `${what}: the token does not open ${id} (403${said(answer, text)})`,
      `accept the licence at ${page}, and give the token of HF_TOKEN the right to read it`,
    );
  if (status === 404 && code === "RevisionNotFound")
    return new FtError("missing", `${what}: there is no such revision`, `branches and tags are at ${page}/tree/main`);
  if (status === 404 && code === "EntryNotFound")
    return new FtError("missing", `${what}: there is no such file`, `its files are at ${page}/tree/main`);
  if (status === 404)
    return new FtError(
      "missing",
      `${what}: the hub has no model ${id}, or not at this revision (404)`,
      `check the id, upper and lower case included, at ${page}${token === undefined ? "; a private one needs HF_TOKEN" : ""}`,
    );
  if (status === 408 || status === 429 || status >= 500) {
    const wait = askedToWait(answer);
    const when = wait === undefined ? "in a few minutes" : `in ${Math.ceil(wait / 1000)} s`;
    const why = status === 429 ? "too many requests" : `the hub is in trouble${said(answer, text)}`;
    const more = status === 429 && token === undefined ? "; with HF_TOKEN set the limit is higher" : "";
    return new Transient(new FtError("io", `${what}: ${why} (${status})`, `try again ${when}${more}`), { wait });
  }
  return new FtError("io", `${what}: the hub answers ${status}${said(answer, text)}`, `see ${page}; check HF_ENDPOINT`);
}

/** Milliseconds: Retry-After in seconds or as a date, or `t` of a used-up RateLimit. */
function askedToWait({ status, header }: Answer): number | undefined {
  const after = header("retry-after");
  if (after !== undefined) {
    const wait = /^\d+$/.test(after.trim()) ? 1000 * Number(after) : Date.parse(after) - Date.now();
    return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
  }
  const reset = status === 429 ? /;\s*r=0\b.*;\s*t=(\d+)/.exec(header("ratelimit") ?? "")?.[1] : undefined;
  return reset === undefined ? undefined : 1000 * Number(reset);
}

/** The hub's own words, if they are few and plain. */
export function said({ header }: Answer, text: string): string {
  let words = header("x-error-message") ?? "";
  if (words === "") {
    try {
      const body: unknown = JSON.parse(text);
      if (typeof body === "object" && body !== null && "error" in body && typeof body.error === "string")
        words = body.error;
    } catch {
      // a web page
    }
  }
  return words === "" ? "" : `: ${words.slice(0, 200)}`;
}
