// Builds. The whole repository through turbo; one command's packages directly, when their sources are newer.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { node, root, run } from "./process.mjs";
import { closure } from "./workspace.mjs";

/** Every package, with its types; turbo repeats only what changed. */
export function buildAll() {
  return run("turbo", [
    "run",
    "build",
    "build:native",
    "--ui=stream",
    "--output-logs=errors-only",
    "--concurrency=100%",
  ]);
}

/** The newest time anything below `path` was written, folders included: removing a file counts. */
function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function stale({ dir }) {
  const built = newest(join(dir, "dist"));
  return ["src", "package.json", "tsup.config.ts"].some((source) => newest(join(dir, source)) > built);
}

/**
 * Brings one package and what it runs on up to date, without `.d.ts` files. Independent of turbo, which a quickstart does
 * not install, and of the order, since nothing is bundled across packages.
 * @param {string} target name of a workspace package
 */
export async function buildFor(target) {
  const packages = closure(target);
  const tsup = join(root, "node_modules", "tsup", "dist", "cli-default.js");
  const queue = packages.filter((one) => one.manifest.scripts?.build && stale(one));
  const results = [];
  const worker = async () => {
    for (let one = queue.shift(); one; one = queue.shift())
      results.push(await node([tsup], { cwd: one.dir, env: { FT_BUILD_TYPES: "0" } }));
  };
  await Promise.all([worker(), worker()]);
  for (const one of packages) {
    const native = join(one.dir, "tools", "build-native.mjs");
    if (one.manifest.scripts?.["build:native"] && existsSync(native)) {
      const result = await node([native]);
      results.push(result);
      // A missing compiler is worth a line, an up-to-date library is not.
      if (/no C compiler|failed/.test(result.output)) console.warn(result.output.trim());
    }
  }
  return results.find((result) => result.code !== 0) ?? { code: 0, output: "" };
}
