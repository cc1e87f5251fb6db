#!/usr/bin/env node
// Publishes what changesets has versioned. The prebuilt libraries go first, since @ft/backend-cpu asks for them by version;
// a version that the registry has already is left alone, so that an interrupted release can be repeated.
//   node tools/release.mjs [--dry-run]      --dry-run stops before changesets publishes, and npm uploads nothing
import { join } from "node:path";
import { buildAll } from "./lib/build.mjs";
import { installAll } from "./lib/install.mjs";
import { packEnv } from "./lib/pack.mjs";
import { platformPackages } from "./lib/platforms.mjs";
import { node, root, run } from "./lib/process.mjs";
import { runSteps } from "./lib/steps.mjs";

const dry = process.argv.includes("--dry-run");

async function publishPlatforms() {
  const platforms = platformPackages();
  if (platforms.length === 0) return { code: 1, output: "there are no prebuilt libraries of these sources" };
  for (const { name, dir, manifest } of platforms) {
    const there = await run("npm", ["view", `${name}@${manifest.version}`, "version"]);
    if (there.code === 0 && there.output.trim() === manifest.version) continue;
    const published = await run("npm", ["publish", dir, ...(dry ? ["--dry-run"] : [])]);
    if (published.code !== 0) return published;
  }
  return { code: 0, output: "" };
}

process.exitCode = await runSteps([
  { name: "install", run: installAll, needed: true },
  { name: "build", run: buildAll, needed: true },
  {
    name: "prebuilt libraries",
    run: () => node([join(root, "packages/backend-cpu/tools/build-prebuilt.mjs")]),
    needed: true,
  },
  { name: "their packages published", run: publishPlatforms, needed: true },
  ...(dry ? [] : [{ name: "packages published", run: () => run("changeset", ["publish"], { env: packEnv }) }]),
]);
