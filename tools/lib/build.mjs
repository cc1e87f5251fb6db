// Builds. The whole repository through turbo; one command's packages directly, when their sources are newer.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { node, root, run } from "./process.mjs";
import { closure, workspace } from "./workspace.mjs";

/**
 * The C kernels, by whatever compiler is there. Outside turbo's cache: the result depends on the compiler and the
 * processor, and the script itself knows when it is up to date. No compiler is worth a line; a failing one is an error.
 * @param {import("./workspace.mjs").WorkspacePackage[]} packages
 */
async function buildNative(packages) {
  for (const { dir, manifest } of packages) {
    if (!manifest.scripts?.["build:native"]) continue;
    const result = await node([join(dir, "tools", "build-native.mjs")]);
    if (result.code !== 0 || / failed\n/.test(result.output)) return { ...result, code: result.code || 1 };
    if (/no C compiler/.test(result.output)) console.warn(result.output.trim());
  }
  return { code: 0, output: "" };
}

/** Every package, with its types; turbo repeats only what changed. */
export async function buildAll() {
  const built = await run("turbo", ["run", "build", "--ui=stream", "--output-logs=errors-only", "--concurrency=100%"]);
  return built.code === 0 ? buildNative(workspace()) : built;
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
  return results.find((result) => result.code !== 0) ?? buildNative(packages);
}
