import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
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
 * ends it, nothing half is left behind. Earlier ones for the same CUDA version are removed.
 */
export async function setupCuda({ cuda, cache, from, note, signal }: SetupCuda): Promise<Placed> {
  const python = from === "archive" ? undefined : await pythonWithPip();
  if (from === "pip" && python === undefined)
    throw new FtError("missing", "there is no python3 with pip here", "install it, or use --from archive");
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, ".setup-"));
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
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new FtError("interrupted", "stopped; nothing was kept", "the same command begins anew");
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
