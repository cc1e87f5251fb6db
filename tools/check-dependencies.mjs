#!/usr/bin/env node
// Who may import whom. The layers, innermost first:
//   tensor <- {backend-*, weights, nn, optim} <- {models, quant-nf4, lora, optim-8bit} <- trainer
// A package imports packages of the layers before its own. Beside them stand data, eval, export and testing. Nothing
// imports a backend-* or the trainer except the command line, the examples and, for tests, development dependencies.
//   node tools/check-dependencies.mjs [--root DIR]
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join, relative, resolve, sep } from "node:path";
import ts from "typescript";
import { root } from "./lib/process.mjs";
import { workspace } from "./lib/workspace.mjs";

const layers = [/^tensor$/, /^(backend-.+|weights|nn|optim)$/, /^(models|quant-.+|lora|optim-8bit)$/, /^trainer$/];
const beside = /^(data|eval|export|testing)$/;

const short = (name) => name.replace(/^@ft\//, "");
const layerOf = (name) => layers.findIndex((layer) => layer.test(name));

/** Why code of the package `from` must not import `to`; undefined when it may. Both are workspace packages. */
function forbidden(from, to) {
  if (/^(cli|tools|bench|example-.+)$/.test(from)) return undefined;
  if (/^(cli|tools|bench|example-.+)$/.test(to)) return `nothing imports ${to}`;
  if (to.startsWith("backend-"))
    return "only the command line, examples and tests import a backend: pass it in as a value";
  if (to === "trainer") return "only the command line and examples import the trainer";
  if (to === "testing") return "@ft/testing is for tests";
  if (from === "tensor") return "@ft/tensor imports no other package";
  const [a, b] = [layerOf(from), layerOf(to)];
  if (beside.test(to)) return `${to} stands beside the layers: pass its plain values in`;
  if (beside.test(from) || b < a) return undefined;
  return a === b ? `${from} and ${to} are of one layer: no leaf imports a leaf` : `${to} is of an outer layer`;
}

function* sources(dir) {
  if (!existsSync(dir)) return;
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== "node_modules" && entry.name !== "data") yield* sources(path);
    } else if (/\.(ts|mts|mjs|js)$/.test(entry.name)) yield path;
  }
}

const packageOf = (specifier) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");

function* importProblems(one, byName) {
  const { manifest, dir } = one;
  const own = short(one.name);
  const runtime = { ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.optionalDependencies };
  const declared = { ...runtime, ...manifest.devDependencies };
  const published = manifest.private !== true;
  for (const folder of ["src", "test"])
    for (const file of sources(join(dir, folder))) {
      const test = folder === "test" || /\.test\.ts$/.test(file);
      const text = readFileSync(file, "utf8");
      for (const { fileName: specifier, pos } of ts.preProcessFile(text, true, true).importedFiles) {
        const at = { file, line: text.slice(0, pos).split("\n").length };
        if (specifier.startsWith(".")) {
          const target = resolve(file, "..", specifier);
          // Helpers of tests are not published, so another package's tests can only reach them by path.
          const shared = test && /[\\/](packages|examples)[\\/][^\\/]+[\\/]test[\\/]/.test(target);
          if (!target.startsWith(dir + sep) && !shared)
            yield { ...at, rule: `"${specifier}" leaves the package: import it by name` };
          else if (!test && (/\.test\.ts$/.test(target) || target.startsWith(join(dir, "test") + sep)))
            yield { ...at, rule: `"${specifier}" is a test: what is published does not import it` };
          continue;
        }
        if (isBuiltin(specifier)) {
          if (!specifier.startsWith("node:")) yield { ...at, rule: `write "node:${specifier}"` };
          continue;
        }
        const name = packageOf(specifier);
        if (name === one.name) {
          if (!test) yield { ...at, rule: `"${specifier}" is this package: import the file` };
          continue;
        }
        const why = byName.has(name) && !test ? forbidden(own, short(name)) : undefined;
        if (why) yield { ...at, rule: `"${specifier}": ${why}` };
        // What the repository's root installs serves the tests of every package.
        const known = test || !published ? name in declared || name in byName.get("") : name in runtime;
        if (!why && !known)
          yield {
            ...at,
            rule: `"${specifier}" is not among the ${test ? "" : "run-time "}dependencies of ${one.name}`,
          };
      }
    }
}

function* manifestProblems(one, byName) {
  const { manifest, dir } = one;
  const file = join(dir, "package.json");
  const lines = readFileSync(file, "utf8").split("\n");
  const own = short(one.name);
  if (/^(tools|bench|example-.+)$/.test(own)) return;
  const at = (field, name) => {
    const start = lines.findIndex((line) => line.includes(`"${field}":`));
    return { file, line: lines.findIndex((line, i) => i > start && line.includes(`"${name}":`)) + 1 };
  };
  for (const field of ["dependencies", "peerDependencies", "optionalDependencies"])
    for (const name of Object.keys(manifest[field] ?? {})) {
      const why = byName.has(name) ? forbidden(own, short(name)) : undefined;
      if (why) yield { ...at(field, name), rule: `${field} "${name}": ${why}` };
      if (name === "@ft/tensor" && field !== "peerDependencies" && own !== "cli")
        yield { ...at(field, name), rule: "@ft/tensor is a peer dependency, so that a program has one copy" };
    }
  // The quickstart installs without devDependencies; a peer that is listed there too would not be linked.
  for (const name of Object.keys(manifest.peerDependencies ?? {}))
    if (name.startsWith("@ft/") && name in (manifest.devDependencies ?? {}))
      yield {
        ...at("devDependencies", name),
        rule: `"${name}" is a peer: it is installed as one, so leave it out of devDependencies`,
      };
}

/** A cycle through dependencies of any kind, as names, or undefined: turbo could not order its builds. */
function cycle(packages, byName) {
  const done = new Set();
  const visit = (name, path) => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name) || !byName.has(name)) return undefined;
    const { manifest } = byName.get(name);
    for (const next of Object.keys({
      ...manifest.dependencies,
      ...manifest.peerDependencies,
      ...manifest.devDependencies,
    })) {
      const found = visit(next, [...path, name]);
      if (found) return found;
    }
    done.add(name);
    return undefined;
  };
  for (const { name } of packages) {
    const found = visit(name, []);
    if (found) return found;
  }
  return undefined;
}

const flag = process.argv.indexOf("--root");
const at = flag < 0 ? root : resolve(process.argv[flag + 1] ?? ".");
const packages = workspace(at);
const byName = new Map(packages.map((one) => [one.name, one]));
const { dependencies, devDependencies } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
byName.set("", { ...dependencies, ...devDependencies });

const problems = packages.flatMap((one) => [...manifestProblems(one, byName), ...importProblems(one, byName)]);
for (const { file, line, rule } of problems) console.error(`${relative(at, file)}:${line}: ${rule}`);
const loop = cycle(packages, byName);
if (loop) console.error(`package.json: ${loop.join(" -> ")} is a cycle of dependencies`);
if (problems.length > 0 || loop) process.exitCode = 1;
else console.log(`dependency direction: ${packages.length} packages, nothing against the rules`);
