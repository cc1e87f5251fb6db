// How the C kernels become one shared library: for this machine (build-native.mjs) and for others (build-prebuilt.mjs).
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const kernels = join(dirname(dirname(fileURLToPath(import.meta.url))), "kernels");

/** File name of the shared library on a platform. */
export function libraryName(platform = process.platform) {
  if (platform === "win32") return "ft_cpu.dll";
  return platform === "darwin" ? "libft_cpu.dylib" : "libft_cpu.so";
}

// No -ffast-math: NaN must stay visible. No contraction: a fused multiply-add is written, never inferred, so that results
// cannot depend on how a loop was inlined or split over threads.
const COMMON = [
  "-std=gnu11",
  "-O3",
  "-fvisibility=hidden",
  "-fno-math-errno",
  "-fno-trapping-math",
  "-ffp-contract=off",
];
const WARNINGS = ["-Wall", "-Wextra", "-Wno-psabi", "-Wno-unknown-warning-option"];

const BF16 = "-mavx512bf16";

/** The objects of one library: source file, object name, flags. gcc 9 does not know `BF16` yet. */
function objects(arch, bf16 = true) {
  const unit = (isa, flags) => ({ source: "unit.c", object: `${isa}.o`, flags: [`-DFT_ISA=${isa}`, ...flags] });
  const x86 = arch === "x64";
  const wide = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"];
  const base = arch === "arm64" ? "neon" : "portable";
  return [
    unit(base, []),
    ...(x86
      ? [
          unit("avx2", ["-mavx2", "-mfma", "-mf16c"]),
          unit("avx512", wide),
          ...(bf16 ? [unit("avx512bf16", [...wide, BF16])] : []),
        ]
      : []),
    {
      source: "dispatch.c",
      object: "dispatch.o",
      flags: [`-DFT_BASE=${base}`, `-DFT_ABI=${abi()}`, ...(bf16 ? ["-DFT_BF16"] : [])],
    },
    { source: "pool.c", object: "pool.o", flags: [] },
  ];
}

function linkFlags(platform) {
  if (platform === "win32") return ["-shared"];
  if (platform === "darwin") return ["-dynamiclib", `-Wl,-install_name,@rpath/${libraryName(platform)}`];
  return ["-shared", "-lm", "-lpthread", "-ldl"];
}

/** zig's clang counts 512-bit registers as an extension of their own, and tunes for this machine unless told otherwise. */
const zigFlags = (arch) => ["-mcpu=baseline", ...(arch === "x64" ? ["-mevex512"] : [])];

/**
 * Names the C interface: a hash over the declarations of kernels/ft.h, with the comments left out. The loader makes the
 * same one of its own declarations and refuses a library of another interface.
 */
export function abi() {
  const header = readFileSync(join(kernels, "ft.h"), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  const declared = [...header.matchAll(/FT_KERNEL\((\w+),\s*(\w+),\s*\(([^)]*)\)/g)].map(
    ([, result, name, parameters]) => `${result} ${name}(${parameters.replace(/\s+/g, " ")})`,
  );
  return `ft${createHash("sha256").update(declared.sort().join("\n")).digest("hex").slice(0, 16)}`;
}

/** Changes whenever a source or a flag does. */
export function sourceHash(...extra) {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([COMMON, objects("x64"), objects("arm64"), ["linux", "darwin", "win32"].map(linkFlags)]));
  hash.update(JSON.stringify(extra));
  const sources = readdirSync(kernels, { recursive: true, encoding: "utf8" }).filter((file) => /\.[ch]$/.test(file));
  for (const file of sources.map((name) => name.replaceAll("\\", "/")).sort())
    hash.update(`\0${file}\0`).update(readFileSync(join(kernels, file)));
  return hash.digest("hex");
}

function execute(command, args, env) {
  return new Promise((done) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env, cwd: kernels });
    let text = "";
    child.stdout.on("data", (chunk) => (text += chunk));
    child.stderr.on("data", (chunk) => (text += chunk));
    child.on("error", (error) => done({ ok: false, text: String(error) }));
    child.on("close", (code) => done({ ok: code === 0, text }));
  });
}

/**
 * Compiles every object and links them into `output`.
 * @param {object} job
 * @param {{name: string, command: string, args: string[]}} job.compiler
 * @param {string} job.platform as in `process.platform`
 * @param {string} job.arch as in `process.arch`
 * @param {string} job.output
 * @param {string[]} [job.flags] for compiling
 * @param {string[]} [job.link] for linking
 * @param {NodeJS.ProcessEnv} [job.env]
 * @returns {Promise<{ok: boolean, bf16: boolean, text: string}>} whether AVX-512-BF16 is in it, what the compiler said
 */
export async function compileLibrary({ compiler, platform, arch, output, flags = [], link = [], env = process.env }) {
  const work = mkdtempSync(join(tmpdir(), "ft-native-"));
  const own = /\bzig\b/.test(compiler.name) ? zigFlags(arch) : [];
  const pic = platform === "win32" ? [] : ["-fPIC"];
  try {
    const knows = ["-E", BF16, "-x", "c", "-"]; // of an empty file
    const bf16 = arch === "x64" && (await execute(compiler.command, [...compiler.args, ...flags, ...knows], env)).ok;
    const list = objects(arch, bf16);
    const compiled = await Promise.all(
      list.map((one) => {
        const files = ["-c", one.source, "-o", join(work, one.object)];
        return execute(
          compiler.command,
          [...compiler.args, ...COMMON, ...WARNINGS, ...pic, ...own, ...one.flags, ...flags, ...files],
          env,
        );
      }),
    );
    const said = compiled.map((result) => result.text.trim()).filter(Boolean);
    if (compiled.some((result) => !result.ok))
      return { ok: false, bf16, text: compiled.find((result) => !result.ok).text.trim() };
    const inputs = list.map(({ object }) => join(work, object));
    const linked = await execute(
      compiler.command,
      [...compiler.args, ...inputs, ...linkFlags(platform), ...link, "-o", output],
      env,
    );
    return { ok: linked.ok, bf16, text: [...said, linked.text.trim()].filter(Boolean).join("\n") };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
