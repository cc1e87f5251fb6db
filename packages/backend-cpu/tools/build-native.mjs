#!/usr/bin/env node
// Builds the C kernels into build/libft_cpu.{so,dylib,dll} with whatever C compiler is found. Without one it says so once
// and succeeds: the package then runs on its reference loops.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** File name of the shared library on this platform. */
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

/** The objects of one library: source file, object name, flags. */
function objects(arch) {
  const unit = (isa, flags) => ({ source: "unit.c", object: `${isa}.o`, flags: [`-DFT_ISA=${isa}`, ...flags] });
  const x86 = arch === "x64";
  return [
    unit("portable", []),
    ...(x86
      ? [
          unit("avx2", ["-mavx2", "-mfma", "-mf16c"]),
          unit("avx512", ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"]),
        ]
      : []),
    { source: "dispatch.c", object: "dispatch.o", flags: x86 ? ["-DFT_X86"] : [] },
    { source: "pool.c", object: "pool.o", flags: [] },
  ];
}

function findCompiler(env) {
  const wanted = env.CC?.trim();
  const candidates = wanted ? [wanted] : ["cc", "gcc", "clang", "zig cc"];
  for (const candidate of candidates) {
    const [command, ...args] = candidate.split(/\s+/);
    const probe = spawnSync(command, [...args, "--version"], { encoding: "utf8", env });
    if (probe.status === 0) return { name: candidate, command, args, version: probe.stdout.split("\n")[0].trim() };
  }
  return undefined;
}

function compile(command, args, env) {
  return new Promise((done) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
    let text = "";
    child.stdout.on("data", (chunk) => (text += chunk));
    child.stderr.on("data", (chunk) => (text += chunk));
    child.on("error", (error) => done({ ok: false, text: String(error) }));
    child.on("close", (code) => done({ ok: code === 0, text }));
  });
}

/**
 * Compiles and links when sources, compiler or flags changed since the last build.
 * @returns {Promise<{status: "built" | "current" | "no-compiler" | "failed", library: string, message: string}>}
 */
export async function buildNative({ env = process.env, out = join(root, "build") } = {}) {
  const kernels = join(root, "kernels");
  const library = join(out, libraryName());
  const compiler = findCompiler(env);
  if (!compiler) {
    const tried = env.CC ? `CC=${env.CC}` : "cc, gcc, clang, zig cc";
    const message = `native kernels: no C compiler found (tried ${tried}); the slower reference loops will be used`;
    return { status: "no-compiler", library, message };
  }
  const list = objects(process.arch);
  const extra = env.CFLAGS?.split(/\s+/).filter(Boolean) ?? [];
  const hash = createHash("sha256");
  hash.update(JSON.stringify([compiler.name, compiler.version, process.platform, process.arch, COMMON, extra, list]));
  const sources = readdirSync(kernels, { recursive: true, encoding: "utf8" }).filter((file) => /\.[ch]$/.test(file));
  for (const file of sources.sort()) hash.update(`\0${file}\0`).update(readFileSync(join(kernels, file)));
  const stamp = hash.digest("hex");
  const stampFile = `${library}.stamp`;
  if (existsSync(library) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) {
    return { status: "current", library, message: `native kernels: up to date (${compiler.version})` };
  }

  const started = performance.now();
  const work = mkdtempSync(join(tmpdir(), "ft-native-"));
  try {
    const pic = process.platform === "win32" ? [] : ["-fPIC"];
    const results = await Promise.all(
      list.map(({ source, object, flags }) =>
        compile(
          compiler.command,
          [
            ...compiler.args,
            ...COMMON,
            ...WARNINGS,
            ...pic,
            ...flags,
            ...extra,
            "-c",
            join(kernels, source),
            "-o",
            join(work, object),
          ],
          env,
        ),
      ),
    );
    let failed = results.find((result) => !result.ok);
    mkdirSync(out, { recursive: true });
    const partial = join(out, `.${process.pid}-${libraryName()}`);
    if (!failed) {
      const files = list.map(({ object }) => join(work, object));
      const linked = await compile(
        compiler.command,
        [
          ...compiler.args,
          "-shared",
          ...files,
          ...(process.platform === "win32" ? [] : ["-lm", "-lpthread", ...(process.platform === "linux" ? ["-ldl"] : [])]),
          "-o",
          partial,
        ],
        env,
      );
      if (!linked.ok) failed = linked;
    }
    if (failed) {
      rmSync(partial, { force: true });
      const detail = failed.text.trim().split("\n").slice(0, 20).join("\n");
      return { status: "failed", library, message: `native kernels: ${compiler.name} failed\n${detail}` };
    }
    renameSync(partial, library);
    writeFileSync(`${stampFile}.${process.pid}`, stamp);
    renameSync(`${stampFile}.${process.pid}`, stampFile);
    const warnings = results
      .map((result) => result.text.trim())
      .filter(Boolean)
      .join("\n");
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const message = `native kernels: built ${relative(root, library)} in ${seconds} s (${compiler.version})`;
    return { status: "built", library, message: warnings ? `${message}\n${warnings}` : message };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { status, message } = await buildNative();
  (status === "no-compiler" || status === "failed" ? console.warn : console.log)(message);
  // A broken compiler must not break an install; the caller that needs kernels sees that there is no library.
}
