import { type Backend, type Tensor, tensor } from "@ft/tensor";
import { nestedBlockSize, quantize8bit } from "@ft/tensor/ops";

/** absmax in 8 bits, in blocks of 256: the code's value in the signed dynamic map, times nestedAbsmax, plus the offset. */
export interface Nested {
  readonly absmax: Tensor<"u8", readonly ["block"]>;
  readonly nestedAbsmax: Tensor<"f32", readonly ["nested"]>;
  readonly offset: Tensor<"f32", readonly []>;
}

/** The offset of double quantisation: the mean of absmax, summed in f64 and rounded to f32. */
export function meanAbsmax(absmax: Float32Array): number {
  let sum = 0;
  // by index: an iterator costs several times as much
  for (let i = 0; i < absmax.length; i++) sum += absmax[i]!;
  return Math.fround(sum / absmax.length);
}

/**
 * Double quantisation (QLoRA, section 3) of absmax [block]: what is left after the offset, in 8 bits. Given the same offset,
 * all bytes equal those of bitsandbytes, whose own offset is a mean in f32.
 */
export function nestAbsmax(backend: Backend, absmax: Float32Array, offset: number): Nested {
  const rest = new Float32Array(absmax.length);
  for (let i = 0; i < rest.length; i++) rest[i] = absmax[i]! - offset;
  return nestRest(tensor(backend, "f32", ["block"], [rest.length], rest, { give: true }), offset);
}

/** The same of absmax on a backend that is mutable; consumes it. */
export function nestInPlace(absmax: Tensor<"f32", readonly ["block"]>, offset: number): Nested {
  const { backend, view } = absmax;
  backend.primitives.binary({ a: view, b: offset }, { kind: "sub" }, view);
  return nestRest(absmax, offset);
}

/** Consumes `rest`. */
function nestRest(rest: Tensor<"f32", readonly ["block"]>, offset: number): Nested {
  const { backend } = rest;
  const { codes, absmax: scales } = quantize8bit(rest, { map: "dynamic", blockSize: nestedBlockSize });
  rest.dispose();
  const nestedAbsmax = scales.as("nested");
  scales.dispose();
  return {
    absmax: codes,
    nestedAbsmax,
    offset: tensor(backend, "f32", [], [], Float32Array.of(offset), { give: true }),
  };
}
