import type { View } from "../../backend.ts";
import { type FloatDType, isFloat, sizeOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";
import { byBlocks, checkBlockSize, fromBlocks, scaleBlocks, smallestNormal } from "../quantize4bit/blocks.ts";
import { bounds8bit, type Map8bit } from "./maps.ts";

/** Constants of quantize8bit. */
export interface Quantize8bitAttrs {
  readonly map: Map8bit;
  /** elements that share an absmax: 64, 128, … 4096 in row-major order */
  readonly blockSize: number;
  /** no code has the other sign than its value: what bitsandbytes' optimizers demand of the signed map */
  readonly sameSign: boolean;
}

/** Inputs, outputs and attributes of quantize8bit, as kernels and references see them. */
export type Quantize8bit = {
  in: { x: View };
  out: { codes: View; absmax: View };
  attrs: Quantize8bitAttrs;
  keeps: {};
  saved: {};
};

/** One code further for a value > 0, one back otherwise (0 becomes 255), where the sign bits of value and code differ. */
function keepSign(p: P, codes: View, x: View): View {
  const one = p.fill(codes, 1);
  const zero = p.fill(codes, 0);
  // 1/x tells −0 from 0
  const negative = p.where(p.compare("lt", p.div(one, x), 0), one, zero);
  const below = p.where(p.compare("lt", codes, 127), one, zero);
  // to the kernels a subnormal number has a sign, and yet is not > 0
  const step = p.where(p.compare("lt", x, smallestNormal), p.fill(codes, -1), one);
  const moved = p.where(p.compare("eq", negative, below), codes, p.add(codes, step));
  return p.where(p.compare("lt", moved, 0), p.fill(codes, 255), moved);
}

/** The op behind quantize8bit(): its shapes and its reference; it has no gradient. */
export const quantize8bitOp: Op<Quantize8bit> = defineOp<Quantize8bit>({
  name: "quantize8bit",
  keeps: () => ({}),
  infer({ in: { x }, attrs: { map, blockSize, sameSign } }) {
    checkBlockSize("quantize8bit", blockSize, 64);
    const n = sizeOf(x.shape);
    if (!isFloat(x.dtype) || n === 0)
      throw new FtError("shape", `[quantize8bit] ${n} elements of ${x.dtype}`, "pass at least one float");
    if (sameSign && map !== "dynamic")
      throw new FtError("input", "[quantize8bit] sameSign with a map that has one sign", "leave sameSign out");
    return {
      out: { codes: { dtype: "u8", shape: x.shape }, absmax: { dtype: "f32", shape: [Math.ceil(n / blockSize)] } },
      saved: {},
    };
  },
  forward(p, { in: { x }, attrs: { map, blockSize, sameSign } }) {
    const { scaled, absmax } = scaleBlocks(p, x, blockSize);
    const nearest = p.cast(p.searchSorted(scaled, p.constant(bounds8bit[map])), "f32");
    const codes = sameSign ? keepSign(p, nearest, byBlocks(p, x, blockSize)) : nearest;
    return { out: { codes: p.cast(fromBlocks(p, codes, x.shape), "u8"), absmax }, saved: {} };
  },
});

/**
 * 8-bit codes and the largest magnitude of each block, in row-major order of x, computed in f32: the code whose value is
 * nearest to x·(1/absmax), the even one of two. codes have the shape of x, absmax is [⌈n/blockSize⌉]. A block of zeros has
 * absmax 0 and code 0 (with sameSign 255). x must be finite. Source: bitsandbytes' CUDA kernels.
 */
export function quantize8bit<const A extends Axes>(
  x: Tensor<FloatDType, A>,
  {
    map,
    blockSize = 256,
    sameSign = false,
  }: { readonly map: Map8bit; readonly blockSize?: number; readonly sameSign?: boolean },
): { codes: Tensor<"u8", A>; absmax: Tensor<"f32", readonly ["block"]> } {
  const axes = { codes: x.axes, absmax: ["block"] };
  return run(quantize8bitOp, { in: { x }, attrs: { map, blockSize, sameSign }, axes });
}
