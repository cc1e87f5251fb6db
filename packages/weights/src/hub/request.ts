import type { ClientRequest, IncomingMessage } from "node:http";
import { FtError } from "@ft/tensor";
import { type RequestBody, transmit } from "./body.ts";
import { type Refusal, statusError } from "./status-error.ts";
import { Transient } from "./transient.ts";

/** What every request needs to know. */
export interface Connection {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly timeout: number;
}

/** One request: what it is about, for messages, and what it may answer. */
export interface Request {
  readonly url: string;
  readonly method?: "GET" | "HEAD" | "POST" | "PUT";
  /** names in lower case */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  /** "config.json of org/name", for messages */
  readonly what: string;
  /** id of the model, for messages */
  readonly id: string;
  /** false: a redirect to another host is the answer */
  readonly elsewhere?: boolean;
  /** fail at once where there is no such host, or nobody listens */
  readonly impatient?: boolean;
  /** milliseconds to wait for the answer when all has been sent, where that is longer than the connection's timeout */
  readonly answerWithin?: number;
  /** statuses that are answers, beside those of success */
  readonly accepts?: readonly number[];
  /** what other statuses mean, where it is not what they mean for a download */
  readonly refuse?: (refusal: Refusal) => FtError | Transient;
}

/** The head of an answer, and its body as it comes. */
export interface Answer {
  readonly status: number;
  /** one header, undefined when absent */
  header(name: string): string | undefined;
  /** The body's pieces. Fails with `Transient` when the connection is cut or silent for too long. */
  pieces(): AsyncGenerator<Uint8Array, void, undefined>;
}

const maxRedirects = 10;
const maxRefusal = 65_536;

/**
 * Sends a request and follows redirects. The token goes to the endpoint's own origin only: a redirect leads to a content delivery
 * network of somebody else; an authorization among the request's own headers goes to the origin of its address only. Failures come as
 * `Transient` where trying again may help, else as an FtError that says what to do.
 */
export async function send(request: Request, connection: Connection, signal: AbortSignal): Promise<Answer> {
  const { what, id } = request;
  const { endpoint, token } = connection;
  const home = new URL(endpoint).origin;
  let url = new URL(request.url);
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const answer = await ask(url, url.origin === home ? token : undefined, request, connection, signal);
    const location = answer.status >= 300 && answer.status < 400 ? answer.header("location") : undefined;
    const target = location === undefined ? undefined : redirected(location, url, what);
    const stays = target !== undefined && request.elsewhere === false && target.origin !== url.origin;
    const wanted = (answer.status >= 200 && answer.status < 300) || request.accepts?.includes(answer.status);
    if (stays || wanted) {
      if (request.method === "HEAD") await textOf(answer, 0);
      return answer;
    }
    const text = await textOf(answer, maxRefusal);
    if (target === undefined) throw (request.refuse ?? statusError)({ answer, text, what, id, endpoint, token });
    url = target;
  }
  throw new FtError("io", `${what}: the hub redirects in circles`, "check HF_ENDPOINT");
}

/** The beginning of an answer's body; the rest is not waited for. */
export async function textOf(answer: Answer, limit: number = Number.POSITIVE_INFINITY): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of answer.pieces()) {
    pieces.push(piece);
    length += piece.length;
    if (length > limit) break;
  }
  return Buffer.concat(pieces).toString("utf8");
}

function redirected(location: string, from: URL, what: string): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new FtError("io", `${what}: the hub redirects to "${location.slice(0, 100)}"`, "check HF_ENDPOINT");
  return url;
}

/** One request and the head of its answer, redirects not followed. */
async function ask(
  url: URL,
  token: string | undefined,
  request: Request,
  connection: Connection,
  signal: AbortSignal,
): Promise<Answer> {
  const headers: Record<string, string> = { ...request.headers, "accept-encoding": "identity", "user-agent": "ft" };
  if (url.origin !== new URL(request.url).origin) delete headers.authorization;
  if (token !== undefined) headers.authorization ??= `Bearer ${token}`;
  if (request.body !== undefined) headers["content-length"] = `${request.body.length}`;
  const open = (await (url.protocol === "https:" ? import("node:https") : import("node:http"))).request;
  signal.throwIfAborted();
  const sent = open(url, { method: request.method ?? "GET", headers });
  const watch = watchdog(signal, connection.timeout, (error) => sent.destroy(error));
  const patience = Math.max(connection.timeout, request.answerWithin ?? 0);
  const fail = (error: unknown): unknown => {
    watch.end();
    if (signal.aborted) return signal.reason;
    return FtError.is(error) ? error : networkError(watch.reason() ?? error, request, url);
  };
  try {
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.once("response", resolve);
      sent.once("finish", () => watch.listen(patience));
      sent.on("error", reject);
      if (request.body === undefined) sent.end();
      else
        transmit(request.body, sent, () => watch.listen()).catch((error: unknown) => {
          reject(error);
          sent.destroy();
        });
    });
    watch.rest();
    return {
      status: message.statusCode ?? 0,
      header: (name) => [message.headers[name] ?? []].flat()[0],
      pieces: () => bodyOf(message, sent, watch, fail),
    };
  } catch (error) {
    throw fail(error);
  }
}

async function* bodyOf(
  message: IncomingMessage,
  sent: ClientRequest,
  watch: Watchdog,
  fail: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    watch.listen();
    for await (const piece of message) {
      watch.rest(); // what the disk takes is not the server's silence
      yield piece;
      watch.listen();
    }
    if (!message.complete) throw new Error("cut");
  } catch (error) {
    throw fail(error);
  } finally {
    watch.end();
    // an answer may come before all has been sent, and then there is no need for the rest
    if (!sent.writableFinished) sent.destroy();
  }
}

interface Watchdog {
  /** starts the clock anew, for so many milliseconds: the timeout when absent */
  listen(limit?: number): void;
  /** stops it */
  rest(): void;
  /** stops it for good, and no longer minds the caller's signal */
  end(): void;
  /** why it ended the request, if it did: the socket only says that it is closed */
  reason(): Error | undefined;
}

/** Ends a request when the caller's signal aborts, and when nothing has been heard for too long. The clock runs at first. */
function watchdog(signal: AbortSignal, timeout: number, stop: (error: Error) => void): Watchdog {
  let timer: NodeJS.Timeout | undefined;
  let reason: Error | undefined;
  let ended = false;
  const bite = (why: string): void => {
    reason = new Error(why);
    stop(reason);
  };
  const abort = (): void => bite("stopped");
  const rest = (): void => clearTimeout(timer);
  const listen = (limit = timeout): void => {
    rest();
    if (ended) return;
    timer = setTimeout(() => bite(`silent for ${limit / 1000} s`), limit);
  };
  const end = (): void => {
    ended = true;
    rest();
    signal.removeEventListener("abort", abort);
  };
  signal.addEventListener("abort", abort, { once: true });
  listen();
  return { listen, rest, end, reason: () => reason };
}

/** Nothing that a second attempt would change. */
const hopeless = /^(ENOTFOUND|ECONNREFUSED|CERT_.*|ERR_TLS_.*|DEPTH_ZERO_SELF_SIGNED_CERT|.*_SIGNATURE|.*_CERT_.*)$/;

function networkError(error: unknown, request: Request, url: URL): unknown {
  const code = reasonOf(error);
  const final = new FtError(
    "io",
    `${request.what}: the connection to ${url.host} failed (${code})`,
    request.method === "POST" || request.method === "PUT"
      ? "check the network and HF_ENDPOINT; the same again sends only what is missing"
      : "check the network and HF_ENDPOINT; the same again goes on where it stopped, HF_HUB_OFFLINE=1 uses only what is cached",
    { cause: error },
  );
  return request.impatient && hopeless.test(code) ? final : new Transient(final);
}

/** The system's code, or what this file itself said; several addresses that failed come as one error with many inside. */
function reasonOf(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const { code, message } =
    first instanceof Error ? { code: undefined, ...first, message: first.message } : { message: "cut" };
  return typeof code === "string" ? code : message;
}
