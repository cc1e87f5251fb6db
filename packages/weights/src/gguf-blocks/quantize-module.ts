import { readFileSync } from "node:fs";
import { FtError } from "@ft/tensor";

/* The part of the WebAssembly API in use: without the DOM's declarations TypeScript does not know it. */
interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: QuantizeExports };
}
const wasm: WasmApi = Reflect.get(globalThis, "WebAssembly");

/** The functions of kernels/module.c. */
export interface QuantizeExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** values that fit at `input` */
  capacity(): number;
  /** address of the values */
  input(): number;
  /** address of the blocks */
  output(): number;
  /** -1, the index of a value that is not finite, or -2 - the index of the first value of a block beyond the type's range */
  quantize(type: number, count: number): number;
}

/** Where the module may be: seen from `dist/`, and from `src/gguf-blocks/`. */
const places = ["../wasm/gguf_blocks.wasm", "../../wasm/gguf_blocks.wasm"] as const;

let compiled: object | undefined;
let instance: QuantizeExports | undefined;

/** The compiled module, which threads can be given. Errors: "missing". */
export function quantizeModule(): object {
  compiled ??= new wasm.Module(readModule());
  return compiled;
}

/** The module's functions, with a memory of this thread. */
export function quantizeExports(): QuantizeExports {
  instance ??= new wasm.Instance(quantizeModule()).exports;
  return instance;
}

function readModule(): Uint8Array {
  for (const place of places) {
    try {
      return readFileSync(new URL(place, import.meta.url));
    } catch {
      // it is at the other place
    }
  }
  throw new FtError("missing", "[quantize] wasm/gguf_blocks.wasm cannot be read", "reinstall @ft/weights");
}
