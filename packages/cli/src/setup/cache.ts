import { mkdir, readdir, readFile, rmdir, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FtError } from "@ft/tensor";
import { size } from "../plan/sizes.ts";
import type { Fetched, Placed } from "./setup-cuda.ts";

/** What the libraries take on the way: wheels or archives, and what is unpacked of them. */
const needed = 3e9;

/** Bytes that a folder's disk has left for this user. */
export type Room = (folder: string) => Promise<number>;

export const roomOf: Room = async (folder) => {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
};

/** What the cache holds of a CUDA version, as its record says; undefined where there is none. */
export async function alreadyThere(cache: string, cuda: 12 | 13): Promise<Placed | undefined> {
  const names = await readdir(cache).catch(() => []);
  for (const name of names.filter((one) => one.startsWith(`cuda${cuda}-`))) {
    const folder = join(cache, name);
    const packages = recorded(await readFile(join(folder, "source.json"), "utf8").catch(() => "null"));
    const libraries = await readdir(join(folder, "lib")).catch(() => []);
    if (packages !== undefined && libraries.some((one) => one.startsWith("libcublasLt"))) return { folder, packages };
  }
  return undefined;
}

/** Makes the folder of the cache. Code "io" where that is not possible. */
export async function makeCache(cache: string): Promise<void> {
  await makeFolders(cache).catch((cause: unknown) => {
    throw notMade(cache, cause);
  });
}

/** One folder after the other: Node's recursive mkdir does not end in file systems such as /proc, which deny with ENOENT. */
async function makeFolders(path: string): Promise<void> {
  const make = (): Promise<void> =>
    mkdir(path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST" || !(await stat(path)).isDirectory()) throw error;
    });
  await make().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolders(dirname(path));
    await make();
  });
}

/** What the system said, as an error that names the folder. */
export function notMade(cache: string, cause: unknown): FtError {
  const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return new FtError(
    "io",
    `the cache folder ${cache} cannot be made or written${why}`,
    "set FT_CACHE to a folder that can be written",
    { cause },
  );
}

/** Removes the folder of the cache where nothing is in it. */
export async function removeEmpty(cache: string): Promise<void> {
  await rmdir(cache).catch(() => {});
}

/** Throws code "io" unless every folder's disk has room. */
export async function checkRoom(folders: ReadonlyMap<string, string>, room: Room): Promise<void> {
  for (const [folder, hint] of folders) {
    // a file system that does not say is no reason to stop
    const free = await room(folder).catch(() => Number.POSITIVE_INFINITY);
    if (free < needed)
      throw new FtError("io", `${folder} has ${size(free)} free, about ${size(needed)} are needed on the way`, hint);
  }
}

/** "cublas 13.1.0.3, cudnn 9.14.0.64" */
export function versionsOf(packages: readonly Fetched[]): string {
  return packages.map(({ product, version }) => `${product} ${version}`).join(", ");
}

function recorded(text: string): Fetched[] | undefined {
  try {
    const record: unknown = JSON.parse(text);
    const listed = typeof record === "object" && record !== null && "packages" in record ? record.packages : undefined;
    return Array.isArray(listed) && listed.every(isFetched) ? listed : undefined;
  } catch {
    return undefined;
  }
}

function isFetched(x: unknown): x is Fetched {
  if (typeof x !== "object" || x === null) return false;
  const values = new Map<string, unknown>(Object.entries(x));
  return ["product", "version", "source", "sha256"].every((key) => typeof values.get(key) === "string");
}
