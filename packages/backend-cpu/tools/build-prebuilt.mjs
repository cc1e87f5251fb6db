#!/usr/bin/env node
// Builds the library of every platform into build/platforms/<name>/, each a package ready to publish, and their SHA-256
// into build/platforms/SHA256SUMS.
//   node packages/backend-cpu/tools/build-prebuilt.mjs [name ...]      linux-x64, darwin-arm64, ...; all when absent
// The compiler is pinned and nothing of this machine gets into the bytes: the same sources give the same files anywhere.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { zigCompiler } from "../../../tools/lib/zig.mjs";
import { compileLibrary, libraryName, sourceHash } from "./compile.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "build", "platforms");

// glibc 2.17 is older than any that Node 20 runs on; macOS 11 is the first with arm64.
const targets = [
  { name: "linux-x64", zig: "x86_64-linux-gnu.2.17", says: "Linux on x86-64 with glibc" },
  { name: "linux-arm64", zig: "aarch64-linux-gnu.2.17", says: "Linux on 64-bit ARM with glibc" },
  { name: "darwin-x64", zig: "x86_64-macos.11.0", says: "macOS 11 or later on Intel" },
  { name: "darwin-arm64", zig: "aarch64-macos.11.0", says: "macOS 11 or later on Apple silicon" },
  { name: "win32-x64", zig: "x86_64-windows-gnu", says: "Windows 10 or later on x86-64" },
];

function manifest({ name, says }, version, sha256) {
  const [os, cpu] = name.split("-");
  return {
    name: `@ft/backend-cpu-${name}`,
    version,
    description: `The C kernels of @ft/backend-cpu, built for ${says}.`,
    license: "MIT",
    os: [os],
    cpu: [cpu],
    ...(os === "linux" ? { libc: ["glibc"] } : {}),
    files: [libraryName(os)],
    sha256,
    sources: sourceHash(),
    publishConfig: { access: "public" },
  };
}

async function build(target, compiler, version) {
  const [platform, arch] = target.name.split("-");
  const work = mkdtempSync(join(tmpdir(), "ft-prebuilt-"));
  try {
    // Linkers leave import libraries and symbols beside their output; only the library is wanted.
    const output = join(work, libraryName(platform));
    const flags = ["-target", target.zig];
    const { ok, bf16, text } = await compileLibrary({
      compiler,
      platform,
      arch,
      output,
      flags,
      link: ["-s", ...flags],
      env: compiler.env,
    });
    if (!ok || text) throw new Error(`${target.name}: ${ok ? "warnings" : "failed"}\n${text}`);
    if (arch === "x64" && !bf16) throw new Error(`${target.name}: without AVX-512-BF16`);
    const library = readFileSync(output);
    const sha256 = createHash("sha256").update(library).digest("hex");
    const folder = join(out, target.name);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    copyFileSync(output, join(folder, basename(output)));
    copyFileSync(join(root, "..", "..", "LICENSE"), join(folder, "LICENSE"));
    const described = manifest(target, version, sha256);
    writeFileSync(join(folder, "package.json"), `${JSON.stringify(described, null, 2)}\n`);
    writeFileSync(
      join(folder, "README.md"),
      `# ${described.name}\n\n${described.description} Installed by it where it fits; nothing to import.\n`,
    );
    console.log(`${target.name}: ${(library.length / 1024).toFixed(0)} KiB, SHA-256 ${sha256}`);
    return `${sha256}  ${target.name}/${basename(output)}\n`;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !targets.some((target) => target.name === name));
try {
  if (unknown.length > 0) throw new Error(`no such platform: ${unknown}; there are ${targets.map(({ name }) => name)}`);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const compiler = await zigCompiler();
  const sums = [];
  rmSync(join(out, "SHA256SUMS"), { force: true });
  for (const target of targets)
    if (wanted.length === 0 || wanted.includes(target.name)) sums.push(await build(target, compiler, version));
  if (wanted.length === 0) writeFileSync(join(out, "SHA256SUMS"), sums.join(""));
} catch (error) {
  console.error(`prebuilt libraries: ${error.message}`);
  process.exitCode = 1;
}
