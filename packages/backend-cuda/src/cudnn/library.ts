import { FtError } from "@ft/tensor";
import koffi from "koffi";

/** The functions of cuDNN's backend API; each returns its status. Handles and descriptors are integers. */
const prototypes = {
  create: "int cudnnCreate(_Out_ uint64_t *handle)",
  destroy: "int cudnnDestroy(uint64_t handle)",
  setStream: "int cudnnSetStream(uint64_t handle, uint64_t stream)",
  createDescriptor: "int cudnnBackendCreateDescriptor(int kind, _Out_ uint64_t *descriptor)",
  destroyDescriptor: "int cudnnBackendDestroyDescriptor(uint64_t descriptor)",
  setAttribute: "int cudnnBackendSetAttribute(uint64_t descriptor, int name, int type, int64_t count, void *values)",
  getAttribute:
    "int cudnnBackendGetAttribute(uint64_t descriptor, int name, int type, int64_t most, _Out_ int64_t *count, void *values)",
  finalize: "int cudnnBackendFinalize(uint64_t descriptor)",
  execute: "int cudnnBackendExecute(uint64_t handle, uint64_t plan, uint64_t pack)",
} as const;

type Argument = bigint | number | ArrayBufferView | (bigint | number)[] | null;
type Calls = { readonly [K in keyof typeof prototypes]: (...values: Argument[]) => number };

/** cuDNN, loaded and bound to a stream. */
export interface Cudnn {
  readonly calls: Calls;
  readonly handle: bigint;
  /** 91400 for 9.14.0 */
  readonly version: number;
  /** Throws what a status means; 0 is success. */
  check(what: string, status: number): void;
  /** Gives its handle back. */
  dispose(): void;
}

/** Loads cuDNN from a file. */
export function loadCudnn(path: string, stream: bigint): Cudnn {
  const library = koffi.load(path);
  const calls = Object.fromEntries(
    Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)]),
  ) as unknown as Calls;
  const version = Number(library.func("size_t cudnnGetVersion()")());
  const lastError = library.func("void cudnnGetLastErrorString(void *to, size_t bytes)");
  const check = (what: string, status: number): void => {
    if (status === 0) return;
    const text = new Uint8Array(4096);
    lastError(text, text.length);
    const said = new TextDecoder().decode(text.subarray(0, text.indexOf(0))).trim();
    throw new FtError(
      "backend",
      `[cuda] cuDNN ${version}: ${what}: status ${status}${said && `, ${said}`}`,
      "update cuDNN or the driver",
    );
  };
  const out = [0n];
  check("cudnnCreate", calls.create(out));
  const handle = BigInt(out[0]!);
  check("cudnnSetStream", calls.setStream(handle, stream));
  return { calls, handle, version, check, dispose: () => check("cudnnDestroy", calls.destroy(handle)) };
}
