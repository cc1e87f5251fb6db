import { FtError } from "@ft/tensor";
import koffi from "koffi";

/** The functions of cuBLASLt that products need. Descriptors are opaque; numbers are those of its header, the same in CUDA 12 and 13. */
const prototypes = {
  create: "int cublasLtCreate(_Out_ uint64_t *handle)",
  destroy: "int cublasLtDestroy(uint64_t handle)",
  createProduct: "int cublasLtMatmulDescCreate(_Out_ uint64_t *product, int compute, int scale)",
  destroyProduct: "int cublasLtMatmulDescDestroy(uint64_t product)",
  setProduct: "int cublasLtMatmulDescSetAttribute(uint64_t product, int attribute, void *value, size_t bytes)",
  createLayout:
    "int cublasLtMatrixLayoutCreate(_Out_ uint64_t *layout, int type, uint64_t rows, uint64_t columns, int64_t ld)",
  destroyLayout: "int cublasLtMatrixLayoutDestroy(uint64_t layout)",
  setLayout: "int cublasLtMatrixLayoutSetAttribute(uint64_t layout, int attribute, void *value, size_t bytes)",
  createPreference: "int cublasLtMatmulPreferenceCreate(_Out_ uint64_t *preference)",
  destroyPreference: "int cublasLtMatmulPreferenceDestroy(uint64_t preference)",
  setPreference:
    "int cublasLtMatmulPreferenceSetAttribute(uint64_t preference, int attribute, void *value, size_t bytes)",
  heuristic:
    "int cublasLtMatmulAlgoGetHeuristic(uint64_t handle, uint64_t product, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t preference, int wanted, void *results, _Out_ int *found)",
  multiply:
    "int cublasLtMatmul(uint64_t handle, uint64_t product, void *alpha, uint64_t a, uint64_t aLayout, uint64_t b, uint64_t bLayout, void *beta, uint64_t c, uint64_t cLayout, uint64_t d, uint64_t dLayout, void *algorithm, uint64_t workspace, size_t workspaceBytes, uint64_t stream)",
} as const;

type Argument = bigint | number | ArrayBufferView | bigint[] | number[] | null;

/** cuBLASLt, bound; each function returns its status. */
export type CublasLt = { readonly [K in keyof typeof prototypes]: (...values: Argument[]) => number };

export function loadCublasLt(path: string): CublasLt {
  try {
    const library = koffi.load(path);
    return Object.fromEntries(
      Object.entries(prototypes).map(([key, prototype]) => [key, library.func(prototype)]),
    ) as unknown as CublasLt;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FtError("backend", `[cuda] ${path} cannot be loaded: ${why}`, "run `ft doctor`, then `ft setup cuda`", {
      cause,
    });
  }
}

const statuses: { readonly [status: number]: string } = {
  1: "not initialised",
  3: "out of memory",
  7: "invalid value",
  8: "the card is too old",
  11: "mapping error",
  13: "execution failed",
  14: "internal error",
  15: "not supported",
};

/** Throws what a status means; 0 is success. */
export function checkStatus(what: string, status: number): void {
  if (status !== 0)
    throw new FtError(
      "backend",
      `[cuda] cuBLASLt, ${what}: ${statuses[status] ?? "failed"} (${status})`,
      "please report it",
    );
}

/** The handle that a call writes to its first parameter. */
export function created(what: string, call: (...values: Argument[]) => number, ...values: Argument[]): bigint {
  const out = [0n];
  checkStatus(what, call(out, ...values));
  return BigInt(out[0]!);
}
