import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type Asked,
  gitSha1,
  type HubModel,
  type HubServer,
  isLarge,
  json,
  listen,
  modelAt,
  refuse,
  sha256,
  startHub,
} from "./hub-server.ts";

/** What goes wrong with one upload to the storage. */
export interface StorageFault {
  /** this status, when all has arrived */
  readonly status?: number;
  readonly body?: string;
  /** this status before anything is read */
  readonly early?: number;
  /** the connection is cut when so many bytes have arrived */
  readonly cutAfter?: number;
  /** the first byte that is stored is another one */
  readonly corrupt?: boolean;
  /** nothing is read */
  readonly deaf?: boolean;
  /** milliseconds before each piece is read */
  readonly slow?: number;
}

/** A request that changes something, its body line by line. */
export interface Posted {
  readonly path: string;
  readonly type: string | undefined;
  readonly body: readonly unknown[];
}

/** A hub that takes uploads: the endpoints that huggingface_hub uses, and a storage for large files on another address. */
export interface PushHub extends HubServer {
  /** content of large files by its SHA-256 */
  readonly stored: Map<string, Buffer>;
  /** what arrived at the storage, as "oid" or "oid part" */
  readonly uploads: string[];
  /** what was posted */
  readonly posts: Posted[];
  /** headers of the commits that were made, newest last */
  readonly commits: { readonly summary: string; readonly pullRequest: boolean; readonly paths: readonly string[] }[];
  /** files larger than this are asked for in parts of so many bytes */
  partSize: number;
  /** the hub asks to be told of every upload */
  verifies: boolean;
  /** the answer of a commit that is made is lost: the connection is cut */
  losesAnswers: number;
  /** milliseconds before a commit and the end of an upload in parts are answered */
  ponders: number;
  /** what goes wrong with an upload, "oid" or "oid part" */
  storageFault: (upload: string) => StorageFault | undefined;
}

export const writeToken = "hf_mayWrite";
export const readToken = "hf_mayRead";
const organization = "org";
const lfsType = "application/vnd.git-lfs+json";

/** Starts it; closed when the test ends. Accounts other than `org` belong to somebody else. */
export async function startPushHub(...models: readonly HubModel[]): Promise<PushHub> {
  const hub: PushHub = Object.assign(await startHub(...models), {
    ...{ stored: new Map(), uploads: [], posts: [], commits: [], partSize: Number.POSITIVE_INFINITY },
    ...{ verifies: false, losesAnswers: 0, ponders: 0, storageFault: () => undefined },
  });
  const parts = new Map<string, Buffer>();
  const storage = await listen((request, response) => void store(hub, parts, request, response));
  hub.also = (request, response, asked) => {
    if (asked.method !== "POST") return false;
    void bodyOf(request).then((body) => {
      const type = request.headers["content-type"];
      const lines = body.toString().trimEnd().split("\n");
      hub.posts.push({ path: asked.path, type, body: lines.map((line): unknown => JSON.parse(line)) });
      const wait = /\/(commit|lfs\/complete)\b/.test(asked.path) ? hub.ponders : 0;
      setTimeout(() => answer({ hub, parts, storage, request, body, response }, asked), wait);
    });
    return true;
  };
  return hub;
}

interface Post {
  readonly hub: PushHub;
  /** parts of uploads that are not put together yet, by "oid part" */
  readonly parts: Map<string, Buffer>;
  readonly storage: string;
  readonly request: IncomingMessage;
  readonly body: Buffer;
  readonly response: ServerResponse;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces);
}

function error(response: ServerResponse, status: number, words: string, code?: string): unknown {
  const headers = { "content-type": "application/json", ...(code !== undefined && { "x-error-code": code }) };
  return refuse(response, { status, headers, body: JSON.stringify({ error: words }) });
}

function answer(post: Post, { path, authorization }: Asked): unknown {
  const { hub, response } = post;
  const { pathname, searchParams } = new URL(path, "http://hub");
  // this link is signed, as those of the storage are
  if (pathname.endsWith("/lfs/complete") && searchParams.get("signature") === "1")
    return complete(post, searchParams.get("oid") ?? "");
  if (authorization !== `Bearer ${writeToken}` && authorization !== `Bearer ${readToken}`)
    return error(response, 401, "Invalid credentials in Authorization header");
  if (pathname === "/api/repos/create") return createRepo(post, authorization);
  if (pathname === "/api/validate-yaml") return json(response, { errors: [], warnings: [] });
  const api = /^\/api\/models\/([^/]+\/[^/]+)\/(branch|preupload|commit)\/([^/]+)$/.exec(pathname);
  const lfs = /^\/([^/]+\/[^/]+)\.git\/info\/lfs\/(objects\/batch|verify)$/.exec(pathname);
  const id = api?.[1] ?? lfs?.[1] ?? "";
  if (authorization !== `Bearer ${writeToken}` || !id.startsWith(`${organization}/`))
    return error(response, 403, "You don't have the rights to do this");
  if (!hub.models.some((one) => one.id === id)) return error(response, 404, "Repository not found", "RepoNotFound");
  if (lfs?.[2] === "objects/batch") return batch(post, id);
  if (lfs?.[2] === "verify") return verify(post);
  const revision = decodeURIComponent(api?.[3] ?? "");
  if (api?.[2] === "branch") return createBranch(post, id, revision);
  const model = modelAt(hub, id, revision);
  if (model === undefined) return error(response, 404, "Invalid rev id", "RevisionNotFound");
  const pullRequest = searchParams.get("create_pr") === "1";
  if (api?.[2] === "preupload") return preupload(post, model);
  return commit(post, model, pullRequest);
}

function createRepo({ hub, body, response }: Post, authorization: string): unknown {
  const { name, organization: owner, type = "model", visibility, private: hidden } = JSON.parse(body.toString());
  if (authorization !== `Bearer ${writeToken}` || (owner ?? organization) !== organization)
    return error(response, 403, "You don't have the rights to create a model under this namespace");
  const id = `${owner ?? organization}/${name}`;
  const url = `${hub.endpoint}/${id}`;
  if (hub.models.some((one) => one.id === id)) {
    const words = JSON.stringify({ error: "You already created this model repo", url });
    return refuse(response, { status: 409, headers: { "content-type": "application/json" }, body: words });
  }
  if (type !== "model") return error(response, 400, "this hub has models only");
  const files = { ".gitattributes": "*.safetensors filter=lfs diff=lfs merge=lfs -text\n" };
  const isPrivate = visibility === "private" || hidden === true;
  hub.models = [...hub.models, { id, commit: commitName(files, ""), files, private: isPrivate }];
  return json(response, { url, name: id, id });
}

function createBranch({ hub, body, response }: Post, id: string, branch: string): unknown {
  const { startingPoint = "main" } = JSON.parse(body.toString() || "{}");
  if (modelAt(hub, id, branch)) return error(response, 409, "Reference already exists");
  const from = modelAt(hub, id, startingPoint);
  if (from === undefined) return error(response, 404, "Invalid rev id", "RevisionNotFound");
  hub.models = [...hub.models, { ...from, branch }];
  return refuse(response, { status: 201 });
}

function preupload({ body, response }: Post, model: HubModel): unknown {
  const { files } = JSON.parse(body.toString());
  const ignore = String(model.files[".gitignore"] ?? "").split("\n");
  const answers = files.map(({ path, size, sample }: { path: string; size: number; sample: string }) => {
    const isText = !Buffer.from(sample, "base64").includes(0);
    // the real one calls an empty file large where its name says so
    const uploadMode = isLarge(path) || size > 10e6 || !isText ? "lfs" : "regular";
    const there = model.files[path];
    const oid = there === undefined ? undefined : etagOf(path, there);
    return { path, uploadMode, shouldIgnore: ignore.includes(path), ...(oid !== undefined && { oid }) };
  });
  return json(response, { files: answers });
}

function etagOf(path: string, content: Uint8Array | string): string {
  const bytes = Buffer.from(content);
  return isLarge(path, bytes.length) ? sha256(bytes) : gitSha1(bytes);
}

function batch({ hub, storage, request, body, response }: Post, id: string): unknown {
  const { operation, objects, hash_algo: algorithm, transfers } = JSON.parse(body.toString());
  const spoken = request.headers.accept?.includes(lfsType) && request.headers["content-type"]?.includes(lfsType);
  if (!spoken || operation !== "upload" || !["sha256", "sha_256"].includes(algorithm) || !transfers.includes("basic"))
    return error(response, 422, "not a batch of uploads");
  const answers = objects.map(({ oid, size }: { oid: string; size: number }) => {
    if (!/^[0-9a-f]{64}$/.test(oid)) return { oid, size, error: { code: 422, message: "not a SHA-256" } };
    if (hub.stored.has(oid)) return { oid, size };
    const verify = hub.verifies ? { verify: { href: `${hub.endpoint}/${id}.git/info/lfs/verify` } } : {};
    if (size <= hub.partSize) {
      const href = `${storage}/${oid}?size=${size}&signature=1`;
      return {
        oid,
        size,
        authenticated: true,
        actions: { upload: { href, header: { "X-Amz-Meta": "1" } }, ...verify },
      };
    }
    const count = Math.ceil(size / hub.partSize);
    const urls = Array.from({ length: count }, (_, i) => [
      `${i + 1}`.padStart(5, "0"),
      `${storage}/${oid}?part=${i + 1}&size=${Math.min(hub.partSize, size - i * hub.partSize)}&signature=1`,
    ]);
    const header = { chunk_size: `${hub.partSize}`, ...Object.fromEntries(urls) };
    const href = `${hub.endpoint}/${id}.git/info/lfs/complete?oid=${oid}&signature=1`;
    return { oid, size, authenticated: true, actions: { upload: { href, header }, ...verify } };
  });
  const text = JSON.stringify({ transfer: "basic", objects: answers });
  return response.writeHead(200, { "content-type": lfsType }).end(text);
}

/** A PUT to the storage, which knows nobody's token, and takes exactly what the link was made for. */
async function store(
  hub: PushHub,
  parts: Map<string, Buffer>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://storage");
  const [oid, part] = [pathname.slice(1), searchParams.get("part")];
  const upload = part === null ? oid : `${oid} ${part}`;
  const fault = hub.storageFault(upload);
  if (fault?.deaf) return;
  if (fault?.early !== undefined) return void refuse(response, { status: fault.early });
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of request) {
      if (fault?.slow) await new Promise((wait) => setTimeout(wait, fault.slow));
      pieces.push(piece);
      length += piece.length;
      if (fault?.cutAfter !== undefined && length >= fault.cutAfter) return void request.socket.destroy();
    }
  } catch {
    return; // the other side has gone
  }
  const bytes = Buffer.concat(pieces);
  hub.uploads.push(upload);
  if (fault?.status !== undefined) return void refuse(response, { status: fault.status, body: fault.body ?? "" });
  if (request.method !== "PUT" || request.headers.authorization !== undefined)
    return void error(response, 400, "only one of a link and a token, please");
  if (bytes.length !== Number(searchParams.get("size"))) return void error(response, 403, "not what was signed");
  if (fault?.corrupt) bytes[0] = (bytes[0] ?? 0) ^ 1;
  if (part !== null) parts.set(upload, bytes);
  else if (sha256(bytes) === oid) hub.stored.set(oid, bytes);
  else return void error(response, 400, "the checksum differs");
  refuse(response, { status: 200, headers: { etag: `"${createHash("md5").update(bytes).digest("hex")}"` } });
}

function complete({ hub, parts, body, response }: Post, oid: string): unknown {
  const { oid: named, parts: told } = JSON.parse(body.toString());
  if (named !== oid) return error(response, 400, "another object");
  const pieces = told.map(({ partNumber, etag }: { partNumber: number; etag: string }, i: number) => {
    const piece = parts.get(`${oid} ${partNumber}`);
    const known = piece && `"${createHash("md5").update(piece).digest("hex")}"`;
    return partNumber === i + 1 && known === etag ? piece : undefined;
  });
  if (pieces.includes(undefined)) return error(response, 400, "a part is missing");
  const bytes = Buffer.concat(pieces);
  if (sha256(bytes) !== oid) return error(response, 400, "the checksum differs");
  hub.stored.set(oid, bytes);
  return json(response, { completed: true });
}

function verify({ hub, body, response }: Post): unknown {
  const { oid, size } = JSON.parse(body.toString());
  hub.uploads.push(`verified ${oid}`);
  return hub.stored.get(oid)?.length === size ? json(response, {}) : error(response, 404, "not stored");
}

function commit({ hub, request, body, response }: Post, model: HubModel, pullRequest: boolean): unknown {
  if (!request.headers["content-type"]?.includes("application/x-ndjson")) return error(response, 400, "not NDJSON");
  const [head, ...operations] = body
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const { summary, parentCommit } = head.value;
  if (head.key !== "header" || !summary) return error(response, 400, "no summary");
  if (parentCommit !== undefined && parentCommit !== model.commit)
    return error(response, 412, "A commit has happened since. Please refresh and try again.");
  const files: Record<string, Uint8Array | string> = { ...model.files };
  for (const { key, value } of operations) {
    if (key === "file" && value.encoding === "base64") files[value.path] = Buffer.from(value.content, "base64");
    else if (key === "lfsFile" && value.algo === "sha256") {
      const content = hub.stored.get(value.oid);
      if (content === undefined) return error(response, 400, `LFS pointer of ${value.path} points to nothing`);
      files[value.path] = content;
    } else return error(response, 400, `unknown operation ${key}`);
  }
  const made = commitName(files, model.commit);
  const paths = operations.map(({ value }) => value.path);
  hub.commits.push({ summary, pullRequest, paths });
  const branch = pullRequest ? "refs/pr/1" : model.branch;
  const next: HubModel = { ...model, commit: made, files, ...(branch !== undefined && { branch }) };
  hub.models = pullRequest ? [...hub.models, next] : hub.models.map((one) => (one === model ? next : one));
  if (hub.losesAnswers-- > 0) return request.socket.destroy();
  const commitUrl = `${hub.endpoint}/${model.id}/commit/${made}`;
  const pullRequestUrl = pullRequest ? { pullRequestUrl: `${hub.endpoint}/${model.id}/discussions/1` } : {};
  return json(response, { success: true, commitOid: made, commitUrl, hookOutput: "", ...pullRequestUrl });
}

function commitName(files: HubModel["files"], parent: string): string {
  const hash = createHash("sha1").update(parent);
  for (const [path, content] of Object.entries(files)) hash.update(`${path}\0`).update(content);
  return hash.digest("hex");
}
