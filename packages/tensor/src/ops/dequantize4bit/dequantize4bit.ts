import type { View } from "../../backend.ts";
import { dim, type FloatDType, isFloat, type Spec, sameShape, showShape, sizeOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";
import { byBlocks, checkBlockSize, fromBlocks } from "../quantize4bit/blocks.ts";
import type { Format4bit } from "../quantize4bit/quantize4bit.ts";
import { values4bit } from "../quantize4bit/tables.ts";

/** Constants of dequantize4bit: the format, and what the result is. */
export interface Dequantize4bitAttrs extends Format4bit {
  readonly shape: readonly number[];
  readonly dtype: FloatDType;
}

/** Inputs, outputs and attributes of dequantize4bit, as kernels and references see them. */
export type Dequantize4bit = {
  in: { codes: View; absmax: View };
  out: { y: View };
  attrs: Dequantize4bitAttrs;
  keeps: {};
  saved: {};
};

/** Throws unless there is a byte for every two elements and an absmax for every block. */
export function check4bit(
  op: string,
  codes: Spec,
  absmax: Spec,
  { shape, blockSize }: { readonly shape: readonly number[]; readonly blockSize: number },
): void {
  checkBlockSize(op, blockSize, 32);
  const n = sizeOf(shape);
  const [bytes, blocks] = [Math.ceil(n / 2), Math.ceil(n / blockSize)];
  if (codes.dtype === "u8" && sameShape(codes.shape, [bytes]) && sameShape(absmax.shape, [blocks])) return;
  throw new FtError(
    "shape",
    `[${op}] codes ${codes.dtype} ${showShape(codes.shape)}, absmax ${showShape(absmax.shape)} for ${showShape(shape)} in blocks of ${blockSize}`,
    `codes are u8 [${bytes}], absmax is [${blocks}]`,
  );
}

/** Values of packed codes times the absmax of their block, as f32 in `shape`. */
export function decode4bit(
  p: P,
  codes: View,
  absmax: View,
  { type, blockSize, shape }: Format4bit & { readonly shape: readonly number[] },
): View {
  const bytes = dim(codes, 0);
  const both = p.cast(codes, "f32");
  const high = p.unary("floor", p.mul(both, 1 / 16));
  const low = p.sub(both, p.mul(high, 16));
  const pairs = p.concat([p.reshape(high, [bytes, 1]), p.reshape(low, [bytes, 1])], 1);
  const index = p.cast(fromBlocks(p, pairs, [sizeOf(shape)]), "i32");
  const blocks = byBlocks(p, p.gather(p.constant(values4bit[type]), index), blockSize);
  return fromBlocks(p, p.mul(blocks, p.reshape(p.cast(absmax, "f32"), [dim(absmax, 0), 1])), shape);
}

/** The op behind dequantize4bit(): its shapes and its reference; it has no gradient. */
export const dequantize4bitOp: Op<Dequantize4bit> = defineOp<Dequantize4bit>({
  name: "dequantize4bit",
  keeps: () => ({}),
  infer({ in: { codes, absmax }, attrs }) {
    check4bit("dequantize4bit", codes, absmax, attrs);
    if (!isFloat(absmax.dtype))
      throw new FtError("dtype", `[dequantize4bit] absmax is ${absmax.dtype}`, "decode nested statistics first");
    return { out: { y: { dtype: attrs.dtype, shape: attrs.shape } }, saved: {} };
  },
  forward: (p, { in: { codes, absmax }, attrs }) => ({
    out: { y: p.cast(decode4bit(p, codes, absmax, attrs), attrs.dtype) },
    saved: {},
  }),
});

/**
 * The values of 4-bit codes: table[code]·absmax in f32, rounded once to `dtype`. codes [⌈n/2⌉] and absmax [⌈n/blockSize⌉]
 * as quantize4bit gives them; the result has `shape` and `axes`.
 */
export function dequantize4bit<D extends FloatDType, const A extends Axes>(
  codes: Tensor<"u8", readonly [string]>,
  absmax: Tensor<FloatDType, readonly [string]>,
  of: Format4bit & { readonly shape: readonly number[]; readonly dtype: D; readonly axes: A },
): Tensor<D, A> {
  const { type, blockSize, shape, dtype, axes } = of;
  return run(dequantize4bitOp, { in: { codes, absmax }, attrs: { type, blockSize, shape, dtype }, axes: { y: axes } })
    .y;
}
