#!/usr/bin/env node
// The root commands: npm test, npm run quickstart, npm run qlora, npm run bench, npm run build, npm run pack -- FOLDER, npm run ft -- <command>.
// They need Node and npm and nothing else; each installs and builds what it needs.
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildAll, buildFor } from "./lib/build.mjs";
import { installAll, installFor } from "./lib/install.mjs";
import { packAll, packPlatforms } from "./lib/pack.mjs";
import { fitsHere } from "./lib/platforms.mjs";
import { node, root, run } from "./lib/process.mjs";
import { runSteps } from "./lib/steps.mjs";

const [command, ...rest] = process.argv.slice(2);
const script = (name, ...args) => node([join(root, "tools", name), ...args]);

const checks = [
  { name: "types", run: () => run("tsc", ["-p", "tsconfig.json"]) },
  { name: "lint and format", run: () => run("biome", ["check", "--error-on-warnings", "."]) },
  { name: "dependency direction", run: () => script("check-dependencies.mjs") },
  // The root lists what builds as `dependencies`, what checks as `devDependencies`: the quickstart installs only the first.
  {
    name: "one version of everything",
    run: () => run("sherif", ["--fail-on-warnings", "-r", "root-package-dependencies"]),
  },
  { name: "nothing unused", run: () => run("knip", ["--no-progress", "--no-config-hints"]) },
  { name: "everything public documented", run: () => script("check-docs.mjs") },
  { name: "packages as published", run: () => script("check-packages.mjs") },
];
const install = { name: "install", run: installAll, needed: true };
const build = { name: "build", run: buildAll, needed: true };
// A filter after `npm test --` narrows the tests, not the checks before them. In a log, colours would only hide the text.
const tests = {
  name: "tests",
  run: () => run("vitest", ["run", ...rest], { stdio: "inherit", env: process.stdout.isTTY ? {} : { NO_COLOR: "1" } }),
  live: true,
};

/** Installs and builds what one workspace package needs, saying so only when it takes time. */
async function prepare(target) {
  for (const [name, step] of [
    ["install", installFor],
    ["build", buildFor],
  ]) {
    const from = performance.now();
    const { code, output } = await step(target);
    if (code !== 0) {
      console.error(output.trimEnd());
      console.error(`${name} failed`);
      process.exit(code);
    }
    const took = (performance.now() - from) / 1000;
    if (took > 2) console.error(`${name}: ${took.toFixed(1)} s`);
  }
}

/** Tarballs of every package, for use in another project before they are published. */
async function pack(folder) {
  if (folder === undefined) {
    console.error("usage: npm run pack -- FOLDER");
    return 2;
  }
  const target = resolve(process.env.INIT_CWD ?? process.cwd(), folder);
  mkdirSync(target, { recursive: true });
  const code = await runSteps([install, build]);
  if (code !== 0) return code;
  const packed = await packAll(target);
  const here = (await packPlatforms(join(target, "platforms"))).find(fitsHere);
  const tarballs = [join(target, "*.tgz"), ...(here ? [here.tarball] : [])].join(" ");
  console.log(`\n${packed.length} packages in ${target}; in your project:\n\n  npm install ${tarballs}`);
  if (!here)
    console.log(
      "  node node_modules/@ft/backend-cpu/tools/build-native.mjs   # with a C compiler: about 3 times faster than WASM",
    );
  return 0;
}

async function main() {
  switch (command) {
    case "test":
      return runSteps([install, build, ...checks, tests]);
    case "build":
      return runSteps([install, build]);
    case "pack":
      return pack(rest[0]);
    case "quickstart":
    case "qlora":
      await prepare(`@ft/example-${command}`);
      return (await node([join(root, "examples", command, "dist/main.js"), ...rest], { stdio: "inherit" })).code;
    case "bench":
      await prepare("@ft/bench");
      return (await node([join(root, "bench/main.mjs"), ...rest], { stdio: "inherit" })).code;
    case "ft":
      await prepare("@ft/cli");
      // npm changes into the repository; the paths a person types are relative to where they stand.
      return (
        await node([join(root, "packages/cli/dist/bin.js"), ...rest], {
          stdio: "inherit",
          cwd: process.env.INIT_CWD ?? process.cwd(),
        })
      ).code;
    default:
      console.error(
        "usage: node tools/run.mjs test | build | pack FOLDER | quickstart | qlora | bench [what] | ft <command>",
      );
      return 2;
  }
}

process.exitCode = await main();
