import { mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { checkRoom, makeCache, notMade, type Room, removeEmpty, roomOf } from "./cache.ts";
import { fromArchive } from "./from-archive.ts";
import { fromPip, pythonWithPip } from "./from-pip.ts";
import { packagesFor } from "./packages.ts";
import { place } from "./place.ts";

export interface SetupCuda {
  /** the CUDA version whose libraries are wanted */
  readonly cuda: 12 | 13;
  /** folder of the cache */
  readonly cache: string;
  /** pip where it is, NVIDIA's archive otherwise, when absent */
  readonly from?: "pip" | "archive" | undefined;
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
  /** tells how much room a folder's disk has */
  readonly room?: Room;
}

/** A package that was fetched. */
export interface Fetched {
  readonly product: string;
  readonly version: string;
  /** where it came from, and its SHA-256 */
  readonly source: string;
  readonly sha256: string;
}

/** What is in the cache now. */
export interface Placed {
  readonly folder: string;
  readonly packages: readonly Fetched[];
}

/**
 * Fetches NVIDIA's libraries into one folder of the cache, `cuda13-cublas<version>-cudnn<version>`: the files in `lib`,
 * licences and a record beside them. It is made whole under a name that the search passes over, then renamed: whatever
 * ends it, nothing half is left behind. Earlier ones for the same CUDA version are removed. Code "io" where the cache cannot
 * be written, or a disk has too little room.
 */
export async function setupCuda(options: SetupCuda): Promise<Placed> {
  const { cache, from, signal, room = roomOf } = options;
  const python = from === "archive" ? undefined : await pythonWithPip();
  if (from === "pip" && python === undefined)
    throw new FtError("missing", "there is no python3 with pip here", "install it, or use --from archive");
  await makeCache(cache);
  try {
    const temporary = [tmpdir(), "free some space there, or set TMPDIR to another folder"] as const;
    await checkRoom(
      new Map([
        [cache, "free some space there, or set FT_CACHE to a folder on another disk"],
        // pip unpacks there
        ...(python === undefined ? [] : [temporary]),
      ]),
      room,
    );
    return await fetchInto(options, python);
  } catch (error) {
    await removeEmpty(cache);
    if (signal.aborted)
      throw new FtError("interrupted", "stopped; nothing was kept", "the same command begins anew", { cause: error });
    if (FtError.is(error) || !(error instanceof Error && "code" in error)) throw error;
    throw new FtError("io", `${cache}: ${error.message}`, "look at the disk and its rights, then run it again", {
      cause: error,
    });
  }
}

async function fetchInto({ cuda, cache, note, signal }: SetupCuda, python: string | undefined): Promise<Placed> {
  const work = await mkdtemp(join(cache, ".setup-")).catch((cause: unknown) => {
    throw notMade(cache, cause);
  });
  try {
    const made = join(work, "made");
    const packages: Fetched[] = [];
    for (const wanted of packagesFor(cuda)) {
      const { product, requirement, entry } = wanted;
      note(`fetching    ${python === undefined ? `${entry}, of NVIDIA's archive` : `${requirement}, with pip`}`);
      const got =
        python === undefined
          ? await fromArchive(wanted, cuda, work, signal)
          : await fromPip(python, wanted, work, signal);
      await place(wanted, got, made);
      const { version, source, sha256 } = got;
      note(`            ${source}, SHA-256 ${sha256}`);
      packages.push({ product, version, source, sha256 });
    }
    await writeFile(join(made, "source.json"), `${JSON.stringify({ cuda, packages }, null, 2)}\n`);
    const version = (product: string): string => packages.find((one) => one.product === product)?.version ?? "";
    const folder = join(cache, `cuda${cuda}-cublas${version("cublas")}-cudnn${version("cudnn")}`);
    for (const name of await readdir(cache))
      if (name.startsWith(`cuda${cuda}-`)) await rm(join(cache, name), { recursive: true, force: true });
    await rename(made, folder);
    return { folder, packages };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
