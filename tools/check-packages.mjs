#!/usr/bin/env node
// Packs every package as it would be published and looks at the result: publint, are-the-types-wrong, and that nothing
// of the workspace (the source condition, workspace: versions, tests) has got into it.
//   node tools/check-packages.mjs        after a build
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { withPnpm } from "./lib/install.mjs";
import { packAll, packPlatforms, readTarball } from "./lib/pack.mjs";
import { platformsOwner } from "./lib/platforms.mjs";
import { node, root } from "./lib/process.mjs";

const attw = join(root, "node_modules", "@arethetypeswrong", "cli", "dist", "index.js");

async function check({ name, tarball }) {
  const problems = [];
  const data = readFileSync(tarball);
  const { messages, pkg } = await publint({
    pack: { tarball: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) },
    strict: true,
  });
  for (const message of messages) problems.push(`publint: ${formatMessage(message, pkg, { color: false })}`);
  const types = await node([attw, tarball, "--profile", "esm-only", "--no-color", "--no-emoji"]);
  if (types.code !== 0) problems.push(`are the types wrong: ${types.output.trim()}`);
  const files = readTarball(data);
  const manifest = files.get("package/package.json") ?? "";
  for (const word of ["@ft/source", "workspace:"])
    if (manifest.includes(word)) problems.push(`its package.json still says ${word}`);
  if (!files.has("package/LICENSE")) problems.push("no LICENSE");
  if (!files.has("package/README.md")) problems.push("no README.md");
  for (const file of files.keys())
    if (/\.test\.|\/src\/|\/node_modules\//.test(file)) problems.push(`${file} is not for publishing`);
  return problems.map((problem) => `${name}: ${problem}`);
}

/** A platform package is one library, the one that its manifest describes, and the texts. */
function checkPlatform({ name, tarball, dir, manifest }) {
  const files = [...readTarball(readFileSync(tarball)).keys()].sort();
  const [library] = manifest.files;
  const expected = ["LICENSE", "README.md", library, "package.json"].map((file) => `package/${file}`).sort();
  const problems = files.join() === expected.join() ? [] : [`holds ${files}`];
  const sha256 = createHash("sha256")
    .update(readFileSync(join(dir, library)))
    .digest("hex");
  if (sha256 !== manifest.sha256) problems.push(`${library} has SHA-256 ${sha256}, not ${manifest.sha256}`);
  return problems.map((problem) => `${name}: ${problem}`);
}

/** The package that the libraries belong to asks for each of them, and for no other. */
function checkAsksFor(platforms, { tarball }) {
  const manifest = JSON.parse(readTarball(readFileSync(tarball)).get("package/package.json"));
  const asked = Object.keys(manifest.optionalDependencies ?? {}).sort();
  const there = platforms.map(({ name }) => name).sort();
  return asked.join() === there.join() ? [] : [`${manifest.name}: asks for [${asked}], built are [${there}]`];
}

const dir = mkdtempSync(join(tmpdir(), "ft-packages-"));
try {
  const pnpm = await withPnpm();
  if (pnpm.code !== 0) throw new Error(pnpm.output);
  const packed = await packAll(dir);
  const platforms = await packPlatforms(join(dir, "platforms"));
  const queue = [...packed];
  const problems = platforms.flatMap(checkPlatform);
  const owner = packed.find(({ name }) => name === platformsOwner);
  problems.push(...checkAsksFor(platforms, owner));
  const worker = async () => {
    for (let one = queue.shift(); one; one = queue.shift()) problems.push(...(await check(one)));
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, worker));
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  else console.log(`packages: ${packed.length} and ${platforms.length} prebuilt libraries packed, nothing wrong`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
