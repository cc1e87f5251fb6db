import { FtError } from "@ft/tensor";
import { jsonBody } from "./body.ts";
import { record } from "./listing.ts";
import { send, textOf } from "./request.ts";
import type { HubSettings } from "./settings.ts";
import { retrying } from "./transient.ts";
import { writeError } from "./write-error.ts";

/** JSON for the hub, which may arrive there twice. */
export interface Post {
  readonly url: string;
  readonly value: unknown;
  /** "12 files for org/name", for messages */
  readonly what: string;
  readonly id: string;
  /** "application/json" when absent */
  readonly type?: string;
  /** statuses that are answers, beside those of success */
  readonly accepts?: readonly number[];
  /** milliseconds to wait for the answer, where that is longer than the timeout */
  readonly answerWithin?: number;
}

/** Milliseconds for what the hub answers only when it is done: a commit, parts put together. It may have to read all the content. */
export const longAnswer = 600_000;

/** Posts JSON, again where it fails for a time. */
export async function post(
  { url, value, what, id, type = "application/json", accepts = [], answerWithin = 0 }: Post,
  settings: HubSettings,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const headers = { "content-type": type, accept: type };
  const request = {
    url,
    method: "POST",
    headers,
    body: jsonBody(value),
    what,
    id,
    accepts,
    answerWithin,
    refuse: writeError,
  } as const;
  return retrying(
    async () => {
      const answer = await send(request, settings, signal);
      return { status: answer.status, text: await textOf(answer) };
    },
    settings,
    signal,
  );
}

/** Reads an answer. Code "format". */
export function readJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new FtError("format", `${what}: the hub's answer is not JSON`, "check HF_ENDPOINT: it may not be a hub");
  }
}

/** Posts JSON and reads the objects of a list in the answer. Code "format" when there is none. */
export async function postForList(
  request: Post,
  name: string,
  settings: HubSettings,
  signal: AbortSignal,
): Promise<Record<string, unknown>[]> {
  const { text } = await post(request, settings, signal);
  const list = record(readJson(text, request.what))[name];
  if (Array.isArray(list)) return list.map(record);
  throw new FtError(
    "format",
    `${request.what}: the hub's answer has no ${name}`,
    "check HF_ENDPOINT: it may not be a hub",
  );
}
