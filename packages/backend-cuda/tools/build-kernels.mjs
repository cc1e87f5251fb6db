#!/usr/bin/env node
// Compiles kernels/*.cu ahead with a pinned NVRTC into kernels/built: machine code per architecture, PTX for newer cards,
// and a manifest with every kernel's file and the types of its parameters. The same source gives the same bytes anywhere.
//   node tools/build-kernels.mjs [--only FAMILY] [--arch sm_90a] [--out DIR]
//   node tools/build-kernels.mjs --hash     prints what the manifest must hold of the sources; needs no compiler
//   node tools/build-kernels.mjs --check    compares with the files in the repository; says so and succeeds without Python
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { gunzipSync, gzipSync } from "node:zlib";
import koffi from "koffi";
import { fetchNvrtc } from "../../../tools/lib/nvrtc.mjs";
import { findPython } from "../../../tools/lib/wheel.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, "kernels");
/** Machine code for these; every other card from compute capability 8.0 on compiles the PTX when it loads it. */
const architectures = ["sm_80", "sm_90a", "sm_100a", "sm_120a", "compute_80"];
const options = ["--std=c++17", "--extra-device-vectorization", "--fmad=true", "--dopt=on", "-default-device"];

/** SHA-256 of the sources and of what decides how they are compiled: a test recomputes it without the compiler. */
function sourceHash() {
  const hash = createHash("sha256").update(JSON.stringify([architectures, options]));
  for (const name of sourceFiles()) hash.update(name).update(readFileSync(join(sources, name)));
  return hash.digest("hex");
}

const sourceFiles = () =>
  readdirSync(sources)
    .filter((name) => /\.cuh?$/.test(name))
    .sort();

function bind(path) {
  const library = koffi.load(path);
  const of = (prototype) => library.func(prototype);
  const create = of(
    "int nvrtcCreateProgram(_Out_ void **, const char *, const char *, int, const char **, const char **)",
  );
  const compile = of("int nvrtcCompileProgram(void *, int, const char **)");
  const destroy = of("int nvrtcDestroyProgram(void **)");
  const sized = (what) => {
    const size = of(`int nvrtcGet${what}Size(void *, _Out_ size_t *)`);
    const get = of(`int nvrtcGet${what}(void *, void *)`);
    return (program) => {
      const bytes = [0];
      if (size(program, bytes) !== 0) return Buffer.alloc(0);
      const out = Buffer.alloc(Number(bytes[0]));
      get(program, out);
      return out;
    };
  };
  const [log, cubin, ptx] = [sized("ProgramLog"), sized("CUBIN"), sized("PTX")];
  const text = (bytes) => bytes.toString("utf8").replace(/\0+$/, "");
  return (name, source, architecture, include) => {
    const program = [null];
    if (create(program, source, name, 0, null, null) !== 0) throw new Error(`nvrtc: cannot take ${name}`);
    const flags = [`--gpu-architecture=${architecture}`, ...options, `-I${sources}`, `-I${include}`];
    const code = compile(program[0], flags.length, flags);
    const said = text(log(program[0])).trim();
    if (code !== 0) throw new Error(`${name} for ${architecture}:\n${said}`);
    const virtual = architecture.startsWith("compute_");
    const made = virtual ? Buffer.from(text(ptx(program[0]))) : cubin(program[0]);
    destroy(program);
    return { made, said };
  };
}

/** Names and parameter types of a PTX file's kernels. */
function entriesOf(ptx) {
  const found = {};
  for (const [, name, parameters] of ptx.matchAll(/\.visible \.entry (\w+)\(([^)]*)\)/g))
    found[name] = [...parameters.matchAll(/\.param\s+(?:\.align \d+\s+)?\.(\w+)/g)].map(([, type]) => type).join(" ");
  return found;
}

/** Compiles on every core, a family for one architecture at a time. */
async function build(nvrtc, { only, architectures: wanted, out }) {
  mkdirSync(out, { recursive: true });
  const families = sourceFiles()
    .filter((name) => name.endsWith(".cu"))
    .map((name) => basename(name, ".cu"))
    .filter((family) => only === undefined || only === family);
  const jobs = wanted.flatMap((architecture) => families.map((family) => ({ family, architecture })));
  const kernels = {};
  const work = async () => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { nvrtc, out } });
    try {
      for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
        worker.postMessage(job);
        const [{ said, error, entries }] = await once(worker, "message");
        if (error !== undefined) throw new Error(error);
        if (said !== "") console.error(said);
        Object.assign(kernels, entries);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  const sorted = Object.fromEntries(Object.entries(kernels).sort(([a], [b]) => (a < b ? -1 : 1)));
  const manifest = { source: sourceHash(), kernels: sorted };
  writeFileSync(join(out, "manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
}

/** What a worker does: compiles one family for one architecture, and tells the kernels' parameters where it makes PTX. */
function serve({ nvrtc: { library, include }, out }) {
  const compile = bind(library);
  parentPort.on("message", ({ family, architecture }) => {
    try {
      const source = readFileSync(join(sources, `${family}.cu`), "utf8");
      const { made, said } = compile(`${family}.cu`, source, architecture, include);
      const virtual = architecture.startsWith("compute_");
      // compressed, machine code is a fifth of its size
      const name = `${family}.${architecture}.${virtual ? "ptx" : "cubin"}.gz`;
      writeFileSync(join(out, name), gzipSync(made, { level: 9 }));
      const entries = virtual ? entriesOf(made.toString()) : {};
      parentPort.postMessage({
        said,
        entries: Object.fromEntries(Object.entries(entries).map(([kernel, types]) => [kernel, [family, types]])),
      });
    } catch (error) {
      parentPort.postMessage({ error: error.message });
    }
  });
}

/**
 * NVRTC 12.9 joins loads from shared memory in an order that depends on where its own data lie: two runs of one process
 * give other machine code for these. Their kernels and parameters are compared, and with the rest the hash of the sources.
 */
const unsettled = /^(attention|cached-attention)\./;

function check(out) {
  const built = join(sources, "built");
  const [have, want] = [readdirSync(built).sort(), readdirSync(out).sort()];
  if (have.join() !== want.join()) throw new Error(`kernels/built holds ${have}, the sources give ${want}`);
  const bytes = (dir, name) => {
    const raw = readFileSync(join(dir, name));
    return name.endsWith(".gz") ? gunzipSync(raw) : raw;
  };
  const compared = want.filter((name) => !unsettled.test(name));
  for (const name of compared)
    if (!bytes(built, name).equals(bytes(out, name)))
      throw new Error(
        `kernels/built/${name} was not made from these sources; run: node packages/backend-cuda/tools/build-kernels.mjs`,
      );
  for (const name of want.filter((name) => unsettled.test(name) && name.endsWith(".ptx.gz")))
    if (JSON.stringify(entriesOf(`${bytes(built, name)}`)) !== JSON.stringify(entriesOf(`${bytes(out, name)}`)))
      throw new Error(`kernels/built/${name} has other kernels than its source`);
  return compared.length;
}

async function main() {
  const { values } = parseArgs({
    options: {
      check: { type: "boolean" },
      hash: { type: "boolean" },
      only: { type: "string" },
      arch: { type: "string", multiple: true },
      out: { type: "string" },
    },
  });
  if (values.hash) {
    console.log(sourceHash());
    return;
  }
  if (values.check && findPython() === undefined) {
    console.log("skipped: Python with pip is needed to fetch the pinned compiler");
    return;
  }
  const nvrtc = await fetchNvrtc();
  const out = values.check ? join(root, "build", "kernels-check") : resolve(values.out ?? join(sources, "built"));
  if (values.check || values.only === undefined) rmSync(out, { recursive: true, force: true });
  // the manifest is read off the PTX
  const wanted = values.arch ? [...new Set([...values.arch, "compute_80"])] : architectures;
  await build(nvrtc, { only: values.only, architectures: wanted, out });
  if (values.check) console.log(`the same bytes as kernels/built in ${check(out)} files`);
  else console.log(`wrote ${out}`);
}

if (!isMainThread) serve(workerData);
else if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await main();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
