#!/usr/bin/env node
// Builds the C kernels into wasm/ft_cpu.wasm with a pinned compiler, so that the same source gives the same bytes anywhere.
//   node tools/build-wasm.mjs            writes the module
//   node tools/build-wasm.mjs --check    compares with the module in the repository; says so and succeeds without Python
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { findPython } from "../../../tools/lib/wheel.mjs";
import { zigCompiler } from "../../../tools/lib/zig.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const module = join(root, "wasm", "ft_cpu.wasm");
// SIMD128 and bulk memory are in every engine since 2021; relaxed SIMD would give other results on other processors.
// Loop strength reduction would take the constant offsets out of loads: see kernels/gemm/tile.h.
const flags = [
  "--target=wasm32-freestanding",
  "-mcpu=mvp+simd128+bulk_memory+sign_ext+nontrapping_fptoint+mutable_globals",
  "-std=gnu11",
  "-O3",
  "-DFT_ISA=wasm",
  "-I.",
  "-nostdlib",
  "-fvisibility=hidden",
  "-fno-math-errno",
  "-fno-trapping-math",
  "-ffp-contract=off",
  "-fno-sanitize=all",
  "-mllvm",
  "-disable-lsr",
  "-Wall",
  "-Wextra",
  "-Wno-psabi",
  "-Wl,--no-entry",
  "-Wl,--export-dynamic",
  "-Wl,--strip-all",
  "-Wl,-z,stack-size=262144",
  "-Wl,--initial-memory=2097152",
];

/** Compiles to `output`; run in the folder of the source, with relative names, so that no path gets into the bytes. */
function compile({ command, args, env }, output) {
  const cwd = join(root, "kernels", "wasm");
  const run = spawnSync(command, [...args, ...flags, "module.c", "-o", output], { cwd, env, encoding: "utf8" });
  if (run.status !== 0 || run.stderr) throw new Error(`zig cc failed: ${run.stderr?.trim() || run.error}`);
}

async function build({ check }) {
  if (check && findPython() === undefined) {
    console.log("skipped: Python with pip is needed to fetch the pinned compiler");
    return;
  }
  const zig = await zigCompiler();
  const work = mkdtempSync(join(tmpdir(), "ft-wasm-"));
  try {
    const output = join(work, "ft_cpu.wasm");
    compile(zig, output);
    const bytes = readFileSync(output);
    if (!check) {
      mkdirSync(dirname(module), { recursive: true });
      writeFileSync(module, bytes);
    } else if (!existsSync(module) || !bytes.equals(readFileSync(module))) {
      const script = relative(process.cwd(), fileURLToPath(import.meta.url));
      throw new Error(`wasm/ft_cpu.wasm was not built from these sources; run: node ${script}`);
    }
    console.log(`${check ? "the same bytes as" : "wrote"} wasm/ft_cpu.wasm (${bytes.length} bytes)`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await build({ check: process.argv.includes("--check") });
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
