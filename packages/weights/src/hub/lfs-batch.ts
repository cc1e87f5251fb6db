import { FtError } from "@ft/tensor";
import { record } from "./listing.ts";
import { postForList } from "./post.ts";
import type { HubRepo } from "./repo.ts";
import type { HubSettings } from "./settings.ts";

/** Content of a large file, by its SHA-256. */
export interface LargeObject {
  readonly oid: string;
  /** bytes */
  readonly size: number;
  /** of a file that has it, for messages */
  readonly path: string;
}

/** How the storage takes an object it does not have: in one piece, or in parts that it puts together in the end. */
export type Transfer = (
  | { readonly kind: "basic"; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | {
      readonly kind: "multipart";
      readonly completion: string;
      readonly partSize: number;
      readonly parts: readonly string[];
    }
) & {
  /** where the end is told, with this */
  readonly verify?: string;
};

export const lfsType = "application/vnd.git-lfs+json";
const objectsAtATime = 256;

/**
 * Asks where objects go; those that the storage has are not among the answer's. Git LFS with the hub's own "multipart" transfer:
 * https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
 */
export async function lfsTransfers(
  objects: readonly LargeObject[],
  { id, revision }: HubRepo,
  settings: HubSettings,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Transfer>> {
  const url = `${settings.endpoint}/${id}.git/info/lfs/objects/batch`;
  const transfers = new Map<string, Transfer>();
  for (let at = 0; at < objects.length; at += objectsAtATime) {
    const some = objects.slice(at, at + objectsAtATime);
    const what = `${some.length} large files for ${id}`;
    const value = {
      operation: "upload",
      transfers: ["basic", "multipart"],
      objects: some.map(({ oid, size }) => ({ oid, size })),
      hash_algo: "sha256",
      ref: { name: revision },
    };
    const answers = await postForList({ url, value, what, id, type: lfsType }, "objects", settings, signal);
    const byOid = new Map(answers.map((answer) => [answer.oid, answer]));
    for (const object of some) {
      const transfer = transferOf(byOid.get(object.oid), object);
      if (transfer !== undefined) transfers.set(object.oid, transfer);
    }
  }
  return transfers;
}

function transferOf(answer: Record<string, unknown> | undefined, { path, size }: LargeObject): Transfer | undefined {
  const broken = (why: string): FtError =>
    new FtError("format", `${path}: the hub's answer on where it goes ${why}`, "check HF_ENDPOINT");
  if (answer === undefined) throw broken("is missing");
  if (answer.error !== undefined) {
    const { message, code } = record(answer.error);
    throw new FtError(
      "io",
      `${path}: the hub does not take it (${[code, message].filter(Boolean).join(": ")})`,
      "see what it says; a large file counts against the account's storage",
    );
  }
  const { upload, verify } = record(answer.actions);
  if (upload === undefined) return undefined;
  const { href, header } = record(upload);
  if (typeof href !== "string" || !URL.canParse(href)) throw broken("has no address");
  const told =
    verify === undefined ? {} : { verify: urlOf(record(verify).href, () => broken("has no address to verify")) };
  const fields = Object.entries(record(header));
  const partSize = Number(fields.find(([name]) => name === "chunk_size")?.[1] ?? 0);
  if (partSize === 0) {
    const headers = fields.map(([name, value]) => [name.toLowerCase(), String(value)]);
    return { kind: "basic", url: href, headers: Object.fromEntries(headers), ...told };
  }
  const parts = fields
    .filter(([name]) => /^\d+$/.test(name))
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, value]) => urlOf(value, () => broken("has a part without an address")));
  if (!Number.isSafeInteger(partSize) || partSize < 0 || parts.length !== Math.ceil(size / partSize))
    throw broken(`has ${parts.length} parts of ${partSize} bytes for ${size}`);
  return { kind: "multipart", completion: href, partSize, parts, ...told };
}

function urlOf(value: unknown, broken: () => FtError): string {
  if (typeof value === "string" && URL.canParse(value)) return value;
  throw broken();
}
