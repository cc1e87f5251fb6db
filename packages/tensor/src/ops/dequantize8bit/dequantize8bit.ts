import type { View } from "../../backend.ts";
import { dim, type FloatDType, isFloat, sameShape, showShape, sizeOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";
import { byBlocks, checkBlockSize, fromBlocks } from "../quantize4bit/blocks.ts";
import { type Map8bit, maps8bit } from "../quantize8bit/maps.ts";

/** Constants of dequantize8bit. */
export interface Dequantize8bitAttrs {
  readonly map: Map8bit;
  readonly blockSize: number;
}

/** Inputs, outputs and attributes of dequantize8bit, as kernels and references see them. */
export type Dequantize8bit = {
  in: { codes: View; absmax: View; offset?: View };
  out: { y: View };
  attrs: Dequantize8bitAttrs;
  keeps: {};
  saved: {};
};

/** map[code]·absmax of its block in f32, then the offset: two roundings, as bitsandbytes has it. */
export function decode8bit(
  p: P,
  { codes, absmax, offset }: Dequantize8bit["in"],
  { map, blockSize }: Dequantize8bitAttrs,
): View {
  const values = byBlocks(p, p.gather(p.constant(maps8bit[map]), p.cast(codes, "i32")), blockSize);
  const y = fromBlocks(p, p.mul(values, p.reshape(p.cast(absmax, "f32"), [dim(absmax, 0), 1])), codes.shape);
  return offset ? p.add(y, p.cast(offset, "f32")) : y;
}

/** The op behind dequantize8bit(): its shapes and its reference; it has no gradient. */
export const dequantize8bitOp: Op<Dequantize8bit> = defineOp<Dequantize8bit>({
  name: "dequantize8bit",
  keeps: () => ({}),
  infer({ in: { codes, absmax, offset }, attrs: { blockSize } }) {
    checkBlockSize("dequantize8bit", blockSize, 64);
    const blocks = Math.ceil(sizeOf(codes.shape) / blockSize);
    const floats = isFloat(absmax.dtype) && (offset === undefined || isFloat(offset.dtype));
    if (codes.dtype !== "u8" || !floats || !sameShape(absmax.shape, [blocks]) || (offset && offset.shape.length > 0))
      throw new FtError(
        "shape",
        `[dequantize8bit] codes ${codes.dtype} ${showShape(codes.shape)}, absmax ${absmax.dtype} ${showShape(absmax.shape)} in blocks of ${blockSize}`,
        `codes are u8, absmax is f32 [${blocks}], the offset one f32`,
      );
    return { out: { y: { dtype: "f32", shape: codes.shape } }, saved: {} };
  },
  forward: (p, { in: inputs, attrs }) => ({ out: { y: decode8bit(p, inputs, attrs) }, saved: {} }),
});

/** map[code]·absmax (+ offset) in f32, in the shape of the codes; absmax is [⌈n/blockSize⌉] as quantize8bit gives it. */
export function dequantize8bit<const A extends Axes>(
  codes: Tensor<"u8", A>,
  absmax: Tensor<FloatDType, readonly [string]>,
  {
    map,
    blockSize = 256,
    offset,
  }: { readonly map: Map8bit; readonly blockSize?: number; readonly offset?: Tensor<FloatDType, readonly []> },
): Tensor<"f32", A> {
  const inputs = { codes, absmax, ...(offset && { offset }) };
  return run(dequantize8bitOp, { in: inputs, attrs: { map, blockSize }, axes: { y: codes.axes } }).y;
}
