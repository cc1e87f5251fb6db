import { mkdir, readdir, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FtError } from "@ft/tensor";
import type { Unpacked } from "./from-pip.ts";
import type { NvidiaPackage } from "./packages.ts";

/** Moves what is kept of a package to `lib`, where all libraries find each other, and its licence to `licences`. */
export async function place(
  { product, files }: NvidiaPackage,
  { folder, source }: Unpacked,
  into: string,
): Promise<void> {
  const [libraries, licences] = [join(into, "lib"), join(into, "licences", product)];
  for (const made of [libraries, licences]) await mkdir(made, { recursive: true });
  let kept = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    // archives have a second copy to link against, which only fails when it is called
    if (files.test(entry.name) && basename(dirname(path)) !== "stubs") {
      kept++;
      await rename(path, join(libraries, entry.name));
    } else if (/^licen[cs]e/i.test(entry.name)) await rename(path, join(licences, entry.name));
  }
  if (kept === 0)
    throw new FtError("format", `${source} holds no library that is looked for`, "try the other source: --from");
}
