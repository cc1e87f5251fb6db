// The packages of this repository, read from their manifests.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./process.mjs";

/**
 * @typedef {object} WorkspacePackage
 * @property {string} name as in its manifest
 * @property {string} dir absolute
 * @property {string} path relative to the repository, with forward slashes
 * @property {Record<string, any>} manifest
 */

/**
 * Every workspace package below `packages` and `examples`, `tools` and `bench`.
 * @param {string} [at] the folder of a repository of the same layout
 * @returns {WorkspacePackage[]}
 */
export function workspace(at = root) {
  const dirs = ["packages", "examples"].flatMap((parent) =>
    existsSync(join(at, parent)) ? readdirSync(join(at, parent)).map((name) => join(at, parent, name)) : [],
  );
  return [...dirs, join(at, "tools"), join(at, "bench")]
    .filter((dir) => existsSync(join(dir, "package.json")))
    .map((dir) => {
      const manifest = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
      return { name: manifest.name, dir, path: relative(at, dir).replaceAll("\\", "/"), manifest };
    });
}

/**
 * A package and everything in the workspace that it needs to run.
 * @param {string} target
 * @param {WorkspacePackage[]} [all]
 */
export function closure(target, all = workspace()) {
  const byName = new Map(all.map((one) => [one.name, one]));
  const found = new Map();
  const visit = (name) => {
    const one = byName.get(name);
    if (!one || found.has(name)) return;
    found.set(name, one);
    for (const field of ["dependencies", "peerDependencies"])
      for (const dependency of Object.keys(one.manifest[field] ?? {})) visit(dependency);
  };
  visit(target);
  return [...found.values()];
}
