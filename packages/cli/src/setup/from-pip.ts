import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { sha256File } from "@ft/weights";
import type { NvidiaPackage } from "./packages.ts";
import { runs, shell } from "./shell.ts";

/** A package on disk, unpacked. */
export interface Unpacked {
  readonly version: string;
  /** the files are somewhere below it */
  readonly folder: string;
  /** the file that was fetched, and its SHA-256 */
  readonly source: string;
  readonly sha256: string;
}

/** The Python that has pip; undefined where there is none. */
export async function pythonWithPip(): Promise<string | undefined> {
  for (const command of ["python3", "python"]) if (await runs(command, "-m", "pip", "--version")) return command;
  return undefined;
}

/** Fetches a wheel, which pip checks against its index, and unpacks it below `work`. A wheel is a zip archive. */
export async function fromPip(
  python: string,
  { product, requirement }: NvidiaPackage,
  work: string,
  signal: AbortSignal,
): Promise<Unpacked> {
  const wheels = join(work, `${product}-wheel`);
  const options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--no-cache-dir"];
  await shell(python, ["-m", "pip", "download", ...options, "--dest", wheels, requirement], signal);
  const source = (await readdir(wheels)).find((name) => name.endsWith(".whl"));
  const version = source?.split("-")[1];
  if (source === undefined || version === undefined)
    throw new FtError("io", `pip brought no wheel of ${requirement}`, "try --from archive");
  const folder = join(work, product);
  const digest = await sha256File(join(wheels, source));
  await shell(python, ["-m", "zipfile", "-e", join(wheels, source), folder], signal);
  return { version, folder, source, sha256: digest };
}
