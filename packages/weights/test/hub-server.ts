import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A request that arrived, at the hub itself or at the place it redirects large files to. */
export interface Asked {
  readonly at: "hub" | "cdn";
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** What goes wrong with one answer. */
export interface Fault {
  /** this status instead of the answer */
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** the connection is cut after so many bytes of the body */
  readonly cutAfter?: number;
  /** the first byte is another one */
  readonly corrupt?: boolean;
  /** the whole file, whatever range was asked for */
  readonly ignoreRange?: boolean;
  /** nothing comes after so many bytes, and the connection stays open */
  readonly silentAfter?: number;
  /** milliseconds before each piece of 16 KiB */
  readonly slow?: number;
}

/** The content of one model; paths that end in .safetensors, .gguf or .bin are large files. */
export interface HubModel {
  readonly id: string;
  readonly commit: string;
  readonly branch?: string;
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  readonly private?: boolean;
}

export interface HubServer {
  readonly endpoint: string;
  readonly asked: Asked[];
  /** requests for content, as "path" or "path range" */
  readonly fetched: string[];
  models: readonly HubModel[];
  /** decides, request by request, what goes wrong */
  fault: (asked: Asked) => Fault | undefined;
  /** the list of files without sizes and etags */
  bare: boolean;
  /** answers what this server does not, such as uploads; false where it does not either */
  also: (request: IncomingMessage, response: ServerResponse, asked: Asked) => boolean;
}

/** SHA-256 as the hub names a large file. */
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Git's name of a small file. */
export const gitSha1 = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

export const isLarge = (path: string, size = 1): boolean => size > 0 && /\.(safetensors|gguf|bin)$/.test(path);

/** A hub on this machine, over real sockets, with a second server where large files are; closed when the test ends. */
export async function startHub(...models: readonly HubModel[]): Promise<HubServer> {
  const hub: HubServer = {
    ...{ endpoint: "", asked: [], fetched: [], models, bare: false },
    ...{ fault: () => undefined, also: () => false },
  };
  let cdnAddress = "";
  const note = (at: Asked["at"], request: IncomingMessage): { asked: Asked; fault: Fault | undefined } => {
    const { method = "GET", url: path = "/", headers } = request;
    const asked = { at, method, path, range: headers.range, authorization: headers.authorization };
    hub.asked.push(asked);
    return { asked, fault: hub.fault(asked) };
  };
  const cdnRoot = await listen((request, response) => {
    const { asked, fault } = note("cdn", request);
    const { searchParams, pathname } = new URL(asked.path, "http://cdn");
    const [, org = "", name = "", commit = ""] = pathname.split("/");
    const file = searchParams.get("file") ?? "";
    hub.fetched.push(asked.range === undefined ? file : `${file} ${asked.range}`);
    sendFile(contentOf(modelAt(hub, `${org}/${name}`, commit), file) ?? Buffer.alloc(0), asked, fault, response);
  });
  cdnAddress = cdnRoot;
  const endpoint = await listen((request, response) => {
    const { asked, fault } = note("hub", request);
    if (fault?.status !== undefined) refuse(response, fault);
    else if (!hub.also(request, response, asked)) answer(hub, asked, fault, response, cdnAddress);
  });
  return Object.assign(hub, { endpoint });
}

export async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}

/** A model at a commit or a branch. */
export function modelAt({ models }: HubServer, id: string, revision: string): HubModel | undefined {
  return models.find((one) => one.id === id && (revision === one.commit || revision === (one.branch ?? "main")));
}

function contentOf(model: HubModel | undefined, path: string): Buffer | undefined {
  const content = model?.files[path];
  return content === undefined ? undefined : Buffer.from(content);
}

export function refuse(response: ServerResponse, { status = 500, headers = {}, body = "" }: Fault): unknown {
  return response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers }).end(body);
}

function answer(
  hub: HubServer,
  asked: Asked,
  fault: Fault | undefined,
  response: ServerResponse,
  cdn: string,
): unknown {
  const { pathname } = new URL(asked.path, "http://hub");
  const api = /^\/api\/models\/([^/]+\/[^/]+)(?:\/(revision|tree)\/([^/]+))?\/?$/.exec(pathname);
  const resolve = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
  const id = api?.[1] ?? resolve?.[1] ?? "";
  if (!hub.models.some((one) => one.id === id))
    return refuse(response, { status: 404, headers: { "x-error-code": "RepoNotFound" } });
  const model = modelAt(hub, id, decodeURIComponent(api?.[3] ?? resolve?.[2] ?? "main"));
  if (model === undefined) return refuse(response, { status: 404, headers: { "x-error-code": "RevisionNotFound" } });
  if (api) return json(response, api[2] === "tree" ? tree(model) : info(model, hub.bare));

  const path = decodeURIComponent(resolve?.[3] ?? "");
  const content = contentOf(model, path);
  const headers = { "x-repo-commit": model.commit };
  if (content === undefined)
    return refuse(response, { status: 404, headers: { ...headers, "x-error-code": "EntryNotFound" } });
  if (!isLarge(path, content.length)) {
    if (asked.method === "GET") hub.fetched.push(path);
    return sendFile(content, asked, fault, response, { ...headers, etag: `"${gitSha1(content)}"` });
  }
  const location = `${cdn}/${id}/${model.commit}/blob?file=${encodeURIComponent(path)}&signature=1`;
  const linked = { "x-linked-etag": `"${sha256(content)}"`, "x-linked-size": `${content.length}` };
  return response.writeHead(302, { ...headers, ...linked, location }).end();
}

export function json(response: ServerResponse, value: unknown): unknown {
  const text = JSON.stringify(value);
  return response
    .writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) })
    .end(text);
}

function info({ id, commit, files, private: isPrivate = false }: HubModel, bare: boolean): object {
  const siblings = Object.entries(files).map(([rfilename, content]) => {
    const bytes = Buffer.from(content);
    if (bare) return { rfilename };
    const lfs = isLarge(rfilename, bytes.length)
      ? { lfs: { sha256: sha256(bytes), size: bytes.length, pointerSize: 134 } }
      : {};
    return { rfilename, size: bytes.length, blobId: gitSha1(bytes), ...lfs };
  });
  return { _id: "0", id, modelId: id, sha: commit, private: isPrivate, gated: false, tags: [], siblings };
}

function tree({ files }: HubModel): object[] {
  return Object.entries(files).map(([path, content]) => {
    const bytes = Buffer.from(content);
    const lfs = isLarge(path, bytes.length)
      ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } }
      : {};
    return { type: "file", path, size: bytes.length, oid: gitSha1(bytes), ...lfs };
  });
}

function sendFile(
  content: Buffer,
  asked: Asked,
  fault: Fault | undefined,
  response: ServerResponse,
  headers: Record<string, string> = {},
): unknown {
  if (fault?.status !== undefined) return refuse(response, fault);
  const start = fault?.ignoreRange ? 0 : Number(/^bytes=(\d+)-/.exec(asked.range ?? "")?.[1] ?? 0);
  const part = Buffer.from(content.subarray(start));
  if (fault?.corrupt && part.length > 0) part[0] = (part[0] ?? 0) ^ 1;
  const range = { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` };
  response.writeHead(start > 0 ? 206 : 200, {
    ...headers,
    "content-length": part.length,
    "accept-ranges": "bytes",
    ...(start > 0 ? range : {}),
  });
  if (asked.method === "HEAD") return response.end();
  if (fault?.cutAfter !== undefined) return response.write(part.subarray(0, fault.cutAfter), () => response.destroy());
  if (fault?.silentAfter !== undefined) return response.write(part.subarray(0, fault.silentAfter));
  return fault?.slow === undefined ? response.end(part) : trickle(part, fault.slow, response);
}

async function trickle(part: Buffer, pause: number, response: ServerResponse): Promise<void> {
  for (let at = 0; at < part.length && !response.destroyed; at += 16_384) {
    await new Promise((wait) => setTimeout(wait, pause));
    response.write(part.subarray(at, at + 16_384));
  }
  response.end();
}
