import type { View } from "../../backend.ts";
import { type FloatDType, isFloat, sizeOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";
import { checkBlockSize, scaleBlocks, smallestNormal } from "./blocks.ts";
import { fp4Bounds, fp4Ranks, nf4Bounds, type QuantType4bit } from "./tables.ts";

/** Constants of a 4-bit format. */
export interface Format4bit {
  readonly type: QuantType4bit;
  /** elements that share an absmax: 32, 64, … 4096 in row-major order */
  readonly blockSize: number;
}

/** Inputs, outputs and attributes of quantize4bit, as kernels and references see them. */
export type Quantize4bit = {
  in: { x: View };
  out: { codes: View; absmax: View };
  attrs: Format4bit;
  keeps: {};
  saved: {};
};

/** Codes 0…15 of scaled values, as f32. */
function encode(p: P, scaled: View, type: QuantType4bit): View {
  if (type === "nf4") return p.cast(p.searchSorted(scaled, p.constant(nf4Bounds)), "f32");
  const rank = p.searchSorted(p.unary("abs", scaled), p.constant(fp4Bounds));
  // a subnormal product is 0, which has no sign
  const negative = p.compare("le", scaled, -smallestNormal);
  return p.add(p.gather(p.constant(fp4Ranks), rank), p.where(negative, p.fill(scaled, 8), p.fill(scaled, 0)));
}

/** The op behind quantize4bit(): its shapes and its reference; it has no gradient. */
export const quantize4bitOp: Op<Quantize4bit> = defineOp<Quantize4bit>({
  name: "quantize4bit",
  keeps: () => ({}),
  infer({ in: { x }, attrs: { blockSize } }) {
    checkBlockSize("quantize4bit", blockSize, 32);
    const n = sizeOf(x.shape);
    if (!isFloat(x.dtype) || n === 0)
      throw new FtError("shape", `[quantize4bit] ${n} elements of ${x.dtype}`, "pass at least one float");
    return {
      out: {
        codes: { dtype: "u8", shape: [Math.ceil(n / 2)] },
        absmax: { dtype: "f32", shape: [Math.ceil(n / blockSize)] },
      },
      saved: {},
    };
  },
  forward(p, { in: { x }, attrs: { type, blockSize } }) {
    const { scaled, absmax } = scaleBlocks(p, x, blockSize);
    const bytes = Math.ceil(sizeOf(x.shape) / 2);
    const each = p.reshape(encode(p, scaled, type), [sizeOf(scaled.shape) / 2, 2]);
    const pairs = p.slice(each, 0, 0, bytes);
    const packed = p.add(p.mul(p.slice(pairs, 1, 0, 1), 16), p.slice(pairs, 1, 1, 2));
    return { out: { codes: p.cast(p.reshape(packed, [bytes]), "u8"), absmax }, saved: {} };
  },
});

/**
 * 4-bit codes and the largest magnitude of each block, in row-major order of x, computed in f32: code of x·(1/absmax).
 * codes [⌈n/2⌉]: the first element of a pair in the high nibble; an odd count ends as if a 0 followed. absmax [⌈n/blockSize⌉].
 * A block of zeros has code 0 throughout and absmax 0. x must be finite. Source: bitsandbytes' CUDA kernels.
 */
export function quantize4bit(
  x: Tensor<FloatDType, Axes>,
  format: Format4bit,
): { codes: Tensor<"u8", readonly ["byte"]>; absmax: Tensor<"f32", readonly ["block"]> } {
  const { type, blockSize } = format;
  return run(quantize4bitOp, { in: { x }, attrs: { type, blockSize }, axes: { codes: ["byte"], absmax: ["block"] } });
}
