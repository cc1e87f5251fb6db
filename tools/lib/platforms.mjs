// The packages with a prebuilt library, one for each platform: made by packages/backend-cpu/tools/build-prebuilt.mjs and
// not kept in the repository, so they stand beside the workspace and not in it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sourceHash } from "../../packages/backend-cpu/tools/compile.mjs";
import { root } from "./process.mjs";

/** The package that they belong to. */
export const platformsOwner = "@ft/backend-cpu";
const owner = join(root, "packages", "backend-cpu");

/**
 * All of them, if all were built from these sources and for this version; otherwise none.
 * @returns {{name: string, dir: string, manifest: Record<string, any>}[]}
 */
export function platformPackages() {
  const folder = join(owner, "build", "platforms");
  if (!existsSync(join(folder, "SHA256SUMS"))) return []; // written when the last one is done
  const { version } = JSON.parse(readFileSync(join(owner, "package.json"), "utf8"));
  const sources = sourceHash();
  const found = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name))
    .map((dir) => ({ dir, manifest: JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) }))
    .map(({ dir, manifest }) => ({ name: manifest.name, dir, manifest }));
  return found.every(({ manifest }) => manifest.version === version && manifest.sources === sources) ? found : [];
}

/** Whether a platform package is for the machine this runs on. */
export const fitsHere = ({ manifest }) => manifest.os.includes(process.platform) && manifest.cpu.includes(process.arch);
