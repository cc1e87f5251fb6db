import { basename, dirname, join } from "node:path";
import { libraryCache, type Machine, thisMachine } from "./machine.ts";
import { loaderFolders, pythonFolders, toolkitFolders } from "./places.ts";

/** Where a library was found. */
export type Origin = "environment" | "ft cache" | "system" | "cuda folder" | "python wheels";

/** A library's file. */
export interface Found {
  readonly path: string;
  readonly from: Origin;
  /** such as 13.1.0.3, where a file name or a wheel says it */
  readonly version?: string;
  /** the CUDA version that it was built for, where that is known: 12 or 13 */
  readonly cuda?: number;
}

/** A library that is there but cannot be used, and why. */
export interface Unusable extends Found {
  readonly why: string;
}

/** What the search found, and where it looked. */
export interface Libraries {
  readonly cublasLt?: Found;
  readonly cudnn?: Found;
  readonly unusable: readonly Unusable[];
  /** folders and files, in the order of the search */
  readonly looked: readonly string[];
}

/** Settings of findLibraries. */
export interface SearchOptions {
  /** the newest CUDA version that the driver runs, 12 or 13; libraries of newer ones are left out */
  readonly driverCuda?: number | undefined;
  readonly machine?: Machine;
}

/** Majors of CUDA whose cuBLASLt has the calls that are used here, newest first. */
const majors = [13, 12] as const;
const cudnnFile = "libcudnn.so.9";
/** libcudnn.so.9 only passes calls on; these do the work, and it looks for them beside itself. */
const cudnnParts: readonly string[] = ["libcudnn_graph.so.9", "libcudnn_engines_precompiled.so.9"];

/**
 * Finds cuBLASLt and cuDNN: FT_CUBLASLT and FT_CUDNN, what `ft setup cuda` brought, the dynamic linker's folders, CUDA
 * toolkits, Python's wheels. In each place the newest that suits the driver is taken, and cuDNN of the same CUDA version
 * as cuBLASLt. Nothing is loaded.
 */
export function findLibraries({ driverCuda, machine = thisMachine() }: SearchOptions = {}): Libraries {
  const looked: string[] = [];
  const unusable: Unusable[] = [];
  const places = folders(machine);
  const seen = (path: string): void => {
    if (!looked.includes(path)) looked.push(path);
  };
  const first = (name: string, candidates: Iterable<Found>, refuse: (found: Found) => string | undefined) => {
    const named = machine.env[name];
    if (named) {
      // what is named explicitly is taken or refused, but not replaced
      seen(named);
      const found = describe(machine, named, "environment");
      const why = machine.real(named) === undefined ? `${name} names a file that is not there` : refuse(found);
      if (why === undefined) return found;
      unusable.push({ ...found, why });
      return undefined;
    }
    for (const found of candidates) {
      const why = refuse(found);
      if (why === undefined) return found;
      unusable.push({ ...found, why });
    }
    return undefined;
  };
  const tooNew = ({ cuda }: Found): string | undefined =>
    cuda !== undefined && driverCuda !== undefined && cuda > driverCuda
      ? `it is for CUDA ${cuda}, the driver runs CUDA ${driverCuda} at most`
      : undefined;

  function* all(names: readonly string[]): Iterable<Found> {
    for (const [folder, from] of places()) {
      seen(folder);
      for (const name of names) {
        const path = join(folder, name);
        if (machine.real(path) !== undefined) yield describe(machine, path, from);
      }
    }
  }
  const cublasLt = first("FT_CUBLASLT", all(majors.map((major) => `libcublasLt.so.${major}`)), tooNew);
  const cudnn = first("FT_CUDNN", all([cudnnFile]), (found) => {
    const missing = cudnnParts.filter((part) => machine.real(join(dirname(found.path), part)) === undefined);
    if (missing.length > 0) return `${missing.join(" and ")} is missing beside it`;
    if (cublasLt?.cuda !== undefined && found.cuda !== undefined && found.cuda !== cublasLt.cuda)
      return `it is for CUDA ${found.cuda}, the cuBLASLt that is used for CUDA ${cublasLt.cuda}`;
    return tooNew(found);
  });
  return { ...(cublasLt && { cublasLt }), ...(cudnn && { cudnn }), unusable, looked };
}

/** The folders to look in, gathered as far as they are asked for: Python is started last, and once. */
function folders(machine: Machine): () => Iterable<readonly [folder: string, from: Origin]> {
  const known: (readonly [string, Origin])[] = [];
  const gather = (function* (): Generator<readonly [string, Origin]> {
    const cache = libraryCache(machine);
    for (const name of [...machine.list(cache)].sort((a, b) => b.localeCompare(a, "en", { numeric: true })))
      if (!name.startsWith(".")) yield [join(cache, name, "lib"), "ft cache"];
    for (const folder of loaderFolders(machine)) yield [folder, "system"];
    for (const folder of toolkitFolders(machine)) yield [folder, "cuda folder"];
    for (const folder of pythonFolders(machine)) yield [folder, "python wheels"];
  })();
  return function* () {
    let at = 0;
    for (;;) {
      if (at === known.length) {
        const { value, done } = gather.next();
        if (done) return;
        if (known.some(([folder]) => folder === value[0])) continue;
        known.push(value);
      }
      yield known[at++]!;
    }
  };
}

/** Version and CUDA version of a library: from the name of the file behind it, the cache's folder or the wheel's record. */
function describe(machine: Machine, path: string, from: Origin): Found {
  const file = basename(machine.real(path) ?? path);
  const major = Number(/libcublasLt\.so\.(\d+)/.exec(file)?.[1] ?? Number.NaN);
  const own = /\.so\.(\d+\.\d[\d.]*)$/.exec(file)?.[1];
  const recorded = from === "ft cache" ? ofCache(path) : ofWheel(machine, path);
  const version = own ?? recorded?.version;
  const cuda = Number.isNaN(major) ? recorded?.cuda : major;
  return { path, from, ...(version !== undefined && { version }), ...(cuda !== undefined && { cuda }) };
}

interface Recorded {
  readonly version: string;
  readonly cuda?: number;
}

/** `<cache>/cuda13-cublas13.10.0.20-cudnn9.28.1.4/lib/...` */
function ofCache(path: string): Recorded | undefined {
  const [, cuda, cublas, cudnn] =
    /^cuda(\d+)-cublas([\d.]+)-cudnn([\d.]+)$/.exec(basename(dirname(dirname(path)))) ?? [];
  const version = path.includes("libcudnn") ? cudnn : cublas;
  return version === undefined ? undefined : { version, cuda: Number(cuda) };
}

/** `site-packages/nvidia/cudnn/lib/...`, beside `site-packages/nvidia_cudnn_cu13-9.14.0.64.dist-info`. */
function ofWheel(machine: Machine, path: string): Recorded | undefined {
  const [, site, file] = /^(.*)\/nvidia\/[^/]+\/lib\/lib(cudnn|cublasLt)\.so/.exec(path) ?? [];
  if (site === undefined) return undefined;
  const product = file === "cudnn" ? "cudnn" : "cublas";
  const record = new RegExp(`^nvidia_${product}(?:_cu(\\d+))?-([\\d.]+)\\.dist-info$`, "i");
  for (const name of machine.list(site)) {
    const [, cuda, version] = record.exec(name) ?? [];
    if (version !== undefined) return { version, ...(cuda !== undefined && { cuda: Number(cuda) }) };
  }
  return undefined;
}
