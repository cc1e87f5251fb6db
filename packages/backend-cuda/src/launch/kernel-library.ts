import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { FtError } from "@ft/tensor";
import { check, type DriverCalls, made } from "../driver/driver.ts";
import type { Architecture } from "./architecture.ts";

/** A kernel that is ready to launch. */
export interface LoadedKernel {
  readonly handle: bigint;
  /** parameter types as PTX names them */
  readonly types: readonly string[];
  /** bytes of dynamic shared memory it may have so far */
  sharedBytes: number;
}

/** kernels/built/manifest.json: a kernel's family and the types of its parameters, by name. */
export interface KernelManifest {
  readonly source: string;
  readonly kernels: { readonly [name: string]: readonly [family: string, types: string] };
}

/** Where kernels/built is, seen from `dist/` or from `src/launch/`; `FT_CUDA_KERNELS` names another folder. */
function open(name: string): Buffer {
  const { FT_CUDA_KERNELS: named } = process.env;
  const places = named
    ? [`${named}/${name}`]
    : ["../", "../../"].map((up) => new URL(`${up}kernels/built/${name}`, import.meta.url));
  for (const place of places)
    try {
      return readFileSync(place);
    } catch {
      // the other place
    }
  throw new FtError("backend", `[cuda] kernels/built/${name} cannot be read`, "reinstall @ft/backend-cuda");
}

/** The parameter types of a kernel in the manifest. */
export function typesOf([, types]: KernelManifest["kernels"][string]): readonly string[] {
  return types === "" ? [] : types.split(" ");
}

export function readManifest(): KernelManifest {
  return JSON.parse(open("manifest.json").toString("utf8"));
}

/** The kernels for an architecture; a family's code is loaded when the first of its kernels is asked for. */
export class KernelLibrary {
  readonly #driver: DriverCalls;
  readonly #architecture: Architecture;
  readonly #manifest = readManifest();
  readonly #modules = new Map<string, bigint>();
  readonly #kernels = new Map<string, LoadedKernel>();

  constructor(driver: DriverCalls, architecture: Architecture) {
    this.#driver = driver;
    this.#architecture = architecture;
  }

  get(name: string): LoadedKernel {
    let kernel = this.#kernels.get(name);
    if (kernel === undefined) {
      const known = this.#manifest.kernels[name];
      if (known === undefined)
        throw new FtError(
          "unsupported",
          `[cuda] there is no kernel ${name}`,
          "use a dtype that the op has a kernel for",
        );
      const [family] = known;
      const handle = made(`loading ${name}`, this.#driver.cuModuleGetFunction, this.#module(family), name);
      kernel = { handle, types: typesOf(known), sharedBytes: 48 << 10 };
      this.#kernels.set(name, kernel);
    }
    return kernel;
  }

  #module(family: string): bigint {
    let module = this.#modules.get(family);
    if (module === undefined) {
      const kind = this.#architecture.startsWith("compute") ? "ptx" : "cubin";
      const image = gunzipSync(open(`${family}.${this.#architecture}.${kind}.gz`));
      // PTX is text that ends with a zero
      module = made(`loading ${family}`, this.#driver.cuModuleLoadData, Buffer.concat([image, Buffer.alloc(1)]));
      this.#modules.set(family, module);
    }
    return module;
  }

  dispose(): void {
    for (const module of this.#modules.values()) check("cuModuleUnload", this.#driver.cuModuleUnload(module));
    this.#modules.clear();
    this.#kernels.clear();
  }
}
