#!/usr/bin/env node
// Builds the quantisers into wasm/gguf_blocks.wasm with a pinned compiler, so that the same source gives the same bytes anywhere.
//   node tools/build-wasm.mjs            writes the module
//   node tools/build-wasm.mjs --check    compares with the module in the repository; says so and succeeds without Python
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildWasm } from "../../../tools/lib/wasm.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
await buildWasm({
  folder: join(root, "kernels"),
  output: join(root, "wasm", "gguf_blocks.wasm"),
  flags: ["-Wl,-z,stack-size=65536"],
});
