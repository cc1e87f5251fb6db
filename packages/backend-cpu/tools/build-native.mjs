#!/usr/bin/env node
// Builds the C kernels into build/libft_cpu.{so,dylib,dll} with whatever C compiler is found. Without one it says so once
// and succeeds: the package then takes a prebuilt library where one is installed, and slower ways of computing where not.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { compileLibrary, libraryName, sourceHash } from "./compile.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

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

/**
 * Compiles and links when sources, compiler or flags changed since the last build.
 * @returns {Promise<{status: "built" | "current" | "no-compiler" | "failed", library: string, message: string}>}
 */
export async function buildNative({ env = process.env, out = join(root, "build") } = {}) {
  const library = join(out, libraryName());
  const compiler = findCompiler(env);
  if (!compiler) {
    const tried = env.CC ? `CC=${env.CC}` : "cc, gcc, clang, zig cc";
    const message = `native kernels: no C compiler found (tried ${tried}); without a prebuilt library of this platform, slower ways of computing will be used`;
    return { status: "no-compiler", library, message };
  }
  const flags = env.CFLAGS?.split(/\s+/).filter(Boolean) ?? [];
  const stamp = sourceHash(compiler.name, compiler.version, process.platform, process.arch, flags);
  const stampFile = `${library}.stamp`;
  // the size too, so that a file that was cut off is built again
  const stamped = () => `${stamp} ${statSync(library).size}`;
  if (existsSync(library) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamped()) {
    return { status: "current", library, message: `native kernels: up to date (${compiler.version})` };
  }

  const started = performance.now();
  mkdirSync(out, { recursive: true });
  const output = join(out, `.${process.pid}-${libraryName()}`);
  const { platform, arch } = process;
  const { ok, text } = await compileLibrary({ compiler, platform, arch, output, flags, env });
  if (!ok) {
    rmSync(output, { force: true });
    const detail = text.split("\n").slice(0, 20).join("\n");
    return { status: "failed", library, message: `native kernels: ${compiler.name} failed\n${detail}` };
  }
  renameSync(output, library);
  writeFileSync(`${stampFile}.${process.pid}`, stamped());
  renameSync(`${stampFile}.${process.pid}`, stampFile);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const message = `native kernels: built ${relative(root, library)} in ${seconds} s (${compiler.version})`;
  return { status: "built", library, message: text ? `${message}\n${text}` : message };
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { status, message } = await buildNative();
  (status === "no-compiler" || status === "failed" ? console.warn : console.log)(message);
  // A broken compiler must not break an install; the caller that needs kernels sees that there is no library.
}
