#!/usr/bin/env node
// Builds the C kernels into wasm/ft_cpu.wasm with a pinned compiler, so that the same source gives the same bytes anywhere.
//   node tools/build-wasm.mjs            writes the module
//   node tools/build-wasm.mjs --check    compares with the module in the repository; says so and succeeds without Python
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildWasm } from "../../../tools/lib/wasm.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
await buildWasm({
  folder: join(root, "kernels", "wasm"),
  output: join(root, "wasm", "ft_cpu.wasm"),
  flags: [
    ...["-DFT_ISA=wasm", "-I."],
    // Loop strength reduction would take the constant offsets out of loads: see kernels/gemm/tile.h.
    ...["-mllvm", "-disable-lsr"],
    ...["-Wl,-z,stack-size=262144", "-Wl,--initial-memory=2097152"],
  ],
});
