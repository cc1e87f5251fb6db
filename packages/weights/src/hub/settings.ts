import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { FtError } from "@ft/tensor";

/** Where the hub is, who asks, and where files are kept. What is absent comes from the environment. */
export interface HubOptions {
  /** the hub's address; HF_ENDPOINT, or https://huggingface.co */
  readonly endpoint?: string | undefined;
  /** access token, false for none; HF_TOKEN, or the file `token` in HF_HOME, where `hf auth login` puts it */
  readonly token?: string | false | undefined;
  /** folder of the cache; HF_HUB_CACHE, or `hub` in HF_HOME, or ~/.cache/huggingface/hub */
  readonly cacheDir?: string | undefined;
  /** no request at all, only what is in the cache; HF_HUB_OFFLINE */
  readonly offline?: boolean | undefined;
  /**
   * milliseconds without a byte before a connection is given up; HF_HUB_DOWNLOAD_TIMEOUT (in seconds), or 30,000. A commit and the end of
   * an upload in parts are waited for longer, at least 10 minutes
   */
  readonly timeout?: number | undefined;
  /** times a failed request is made again, without any progress between; 5 when absent */
  readonly retries?: number | undefined;
  /** milliseconds before the first of them, doubled for each further one; 500 when absent */
  readonly retryDelay?: number | undefined;
}

/** The same with nothing left open. */
export interface HubSettings {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly cacheDir: string;
  readonly offline: boolean;
  readonly timeout: number;
  readonly retries: number;
  readonly retryDelay: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Options first, then the variables that huggingface_hub reads, then its defaults. Code "config" for what cannot be used. */
export function hubSettings(options: HubOptions = {}, env: Environment = process.env): HubSettings {
  const home = expand(env.HF_HOME || join(env.XDG_CACHE_HOME || join("~", ".cache"), "huggingface"));
  const seconds = Number(env.HF_HUB_DOWNLOAD_TIMEOUT || "30");
  return {
    endpoint: checkedEndpoint(options.endpoint ?? (env.HF_ENDPOINT || "https://huggingface.co")),
    token: tokenOf(options.token, home, env),
    cacheDir: expand(options.cacheDir ?? (env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub"))),
    offline: options.offline ?? isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    timeout: options.timeout ?? (seconds > 0 ? 1000 * seconds : 30_000),
    retries: options.retries ?? 5,
    retryDelay: options.retryDelay ?? 500,
  };
}

function checkedEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "")
    throw new FtError(
      "config",
      `the hub's address "${text}" is not one`,
      "set HF_ENDPOINT to https://host, or unset it",
    );
  return text.replace(/\/+$/, "");
}

function tokenOf(given: string | false | undefined, home: string, env: Environment): string | undefined {
  if (given === false) return undefined;
  const token = (given ?? (env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || storedToken(home, env)))?.trim();
  if (token === undefined || token === "") return undefined;
  // the token itself stays out of the message, which may end up in a log
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new FtError("config", "the hub's token has characters no token has", "copy it again into HF_TOKEN");
  return token;
}

function storedToken(home: string, env: Environment): string | undefined {
  try {
    return readFileSync(expand(env.HF_TOKEN_PATH || join(home, "token")), "utf8");
  } catch {
    return undefined; // nobody has logged in here
  }
}

function isTrue(text: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(text ?? "");
}

function expand(path: string): string {
  return path === "~" || /^~[\\/]/.test(path) ? join(homedir(), path.slice(1)) : path;
}
