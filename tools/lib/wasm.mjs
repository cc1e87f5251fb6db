// Builds the WASM modules that are kept in the repository.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { findPython } from "./wheel.mjs";
import { zigCompiler } from "./zig.mjs";

/**
 * SIMD128 and bulk memory are in every engine since 2021. Relaxed SIMD and contraction would give other results on other processors.
 */
const common = [
  "--target=wasm32-freestanding",
  "-mcpu=mvp+simd128+bulk_memory+sign_ext+nontrapping_fptoint+mutable_globals",
  ...["-std=gnu11", "-O3", "-nostdlib", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math"],
  ...["-ffp-contract=off", "-fno-sanitize=all", "-Wall", "-Wextra", "-Wno-psabi"],
  ...["-Wl,--no-entry", "-Wl,--export-dynamic", "-Wl,--strip-all"],
];

/**
 * Compiles `module.c` in `folder` to `output` with the pinned compiler, so that the same source gives the same bytes anywhere. With --check
 * among the arguments of the process it compares with `output` instead, and succeeds without Python, which fetches the compiler.
 * A failure is printed, and makes the exit code 1.
 * @param {{folder: string, output: string, flags: readonly string[]}} options
 */
export async function buildWasm(options) {
  try {
    await build(options, process.argv.includes("--check"));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

async function build({ folder, output, flags }, check) {
  if (check && findPython() === undefined) {
    console.log("skipped: Python with pip is needed to fetch the pinned compiler");
    return;
  }
  const { command, args, env } = await zigCompiler();
  const name = `wasm/${basename(output)}`;
  const work = mkdtempSync(join(tmpdir(), "ft-wasm-"));
  try {
    const made = join(work, basename(output));
    // in the folder of the source, with relative names, so that no path gets into the bytes
    const run = spawnSync(command, [...args, ...common, ...flags, "module.c", "-o", made], {
      ...{ cwd: folder, env, encoding: "utf8" },
    });
    if (run.status !== 0 || run.stderr) throw new Error(`zig cc failed: ${run.stderr?.trim() || run.error}`);
    const bytes = readFileSync(made);
    if (!check) {
      mkdirSync(dirname(output), { recursive: true });
      writeFileSync(output, bytes);
    } else if (!existsSync(output) || !bytes.equals(readFileSync(output))) {
      const script = relative(process.cwd(), process.argv[1]);
      throw new Error(`${name} was not built from these sources; run: node ${script}`);
    }
    console.log(`${check ? "the same bytes as" : "wrote"} ${name} (${bytes.length} bytes)`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
