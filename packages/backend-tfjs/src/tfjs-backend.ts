import { type AnyKernel, type Backend, bytesPerElement, type DType, dataOf, kernelTable, sizeOf } from "@ft/tensor";
import { type Cell, createContext, storageType, type Tf, type TfjsContext } from "./cell.ts";
import { createPrimitives } from "./primitives.ts";

/** What createTfjsBackend makes. */
export type TfjsBackend = Backend<Cell>;

/** Settings of createTfjsBackend. */
export interface TfjsOptions {
  /** fused kernels, for ops that TensorFlow.js has a faster form of */
  readonly kernels?: readonly AnyKernel<TfjsContext>[];
}

const dtypes: ReadonlySet<DType> = new Set(["f32", "i32", "i8", "u8", "bool"]);

/**
 * A backend over a TensorFlow.js that is handed in, with whatever backend it is set to: `createTfjsBackend(tf)`.
 * Every element takes 4 bytes; there is no f64, bf16 or f16, so loaders widen.
 */
export function createTfjsBackend(tf: Tf, options: TfjsOptions = {}): TfjsBackend {
  const context = createContext(tf);
  return {
    name: `tfjs-${tf.getBackend()}`,
    dtypes,
    mutable: false,
    primitives: createPrimitives(context),
    kernels: kernelTable(options.kernels ?? []),
    context,
    alloc: () => ({}),
    free(cell) {
      cell.tensor?.dispose();
      delete cell.tensor;
    },
    bytes: (spec) => 4 * sizeOf(spec.shape),
    write(cell, spec, data) {
      cell.tensor?.dispose();
      const copy = spec.dtype === "f32" ? Float32Array.from(data) : Int32Array.from(data);
      cell.tensor = tf.tensor(copy, [...spec.shape], storageType(spec.dtype));
      if (data.length === 1 && data[0] !== undefined) cell.host = data[0];
    },
    async read(cell, spec) {
      const out = dataOf[spec.dtype](new ArrayBuffer(bytesPerElement[spec.dtype] * sizeOf(spec.shape)));
      const data = await cell.tensor?.data();
      if (data !== undefined) out.set(data);
      return out.buffer;
    },
  };
}
