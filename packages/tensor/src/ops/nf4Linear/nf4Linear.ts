import type { View } from "../../backend.ts";
import { dim, type FloatDType, isFloat, type Spec, sameShape, showShape, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";
import { check4bit, decode4bit } from "../dequantize4bit/dequantize4bit.ts";
import { decode8bit } from "../dequantize8bit/dequantize8bit.ts";
import type { Format4bit } from "../quantize4bit/quantize4bit.ts";

/** Elements of absmax that share a nested absmax. */
export const nestedBlockSize = 256;

/** Constants of nf4Linear. */
export interface Nf4LinearAttrs extends Format4bit {
  /** [out, in] */
  readonly shape: readonly [number, number];
}

/** A 4-bit weight as kernels see it: absmax is f32, or u8 codes of the signed dynamic map with nestedAbsmax and offset. */
export interface Packed4bit<V> {
  readonly codes: V;
  readonly absmax: V;
  readonly nestedAbsmax?: V;
  readonly offset?: V;
}

/** Inputs, outputs and attributes of nf4Linear, as kernels and references see them. */
export type Nf4LinearShape = {
  in: { x: View; codes: View; absmax: View; nestedAbsmax?: View; offset?: View; bias?: View };
  out: { y: View };
  attrs: Nf4LinearAttrs;
  keeps: { codes?: View; absmax?: View; nestedAbsmax?: View; offset?: View };
  saved: {};
};

/** The dense weight, as f32. */
function weightOf(p: P, { codes, absmax, nestedAbsmax, offset }: Packed4bit<View>, attrs: Nf4LinearAttrs): View {
  const nested = { map: "dynamic", blockSize: nestedBlockSize } as const;
  const plain =
    nestedAbsmax && offset ? decode8bit(p, { codes: absmax, absmax: nestedAbsmax, offset }, nested) : absmax;
  return decode4bit(p, codes, plain, attrs);
}

function checkNested({ absmax, nestedAbsmax, offset }: Packed4bit<Spec>): void {
  const blocks = Math.ceil(dim(absmax, 0) / nestedBlockSize);
  const whole =
    absmax.dtype === "u8"
      ? nestedAbsmax && offset && sameShape(nestedAbsmax.shape, [blocks]) && offset.shape.length === 0
      : isFloat(absmax.dtype) && nestedAbsmax === undefined && offset === undefined;
  if (whole) return;
  const shown = (x: Spec | undefined): string => (x ? `${x.dtype} ${showShape(x.shape)}` : "absent");
  throw new FtError(
    "shape",
    `[nf4Linear] absmax ${shown(absmax)}, nestedAbsmax ${shown(nestedAbsmax)}, offset ${shown(offset)}`,
    `absmax is f32 alone, or u8 with nestedAbsmax [${blocks}] and an offset`,
  );
}

/** dX = g·W;  dBias = Σ g. Keeps the codes and their statistics, never a dense weight, and no activation. */
export const nf4LinearOp: Op<Nf4LinearShape> = defineOp<Nf4LinearShape>({
  name: "nf4Linear",
  keeps: ({ x }) => ({ codes: x, absmax: x, nestedAbsmax: x, offset: x }),
  infer({ in: { x, bias, ...weight }, attrs }) {
    const [outer, inner] = attrs.shape;
    check4bit("nf4Linear", weight.codes, weight.absmax, attrs);
    checkNested(weight);
    if (dim(x, -1) !== inner || (bias && !sameShape(bias.shape, [outer])))
      throw new FtError(
        "shape",
        `[nf4Linear] ${showShape(x.shape)} · (${showShape(attrs.shape)})ᵀ${bias ? ` + ${showShape(bias.shape)}` : ""}`,
        "the weight is [out, in], `in` is the last axis of x, the bias is [out]",
      );
    return { out: { y: { dtype: x.dtype, shape: [...x.shape.slice(0, -1), outer] } }, saved: {} };
  },
  forward(p, { in: { x, bias, ...weight }, attrs }) {
    const wide = wideOf(x.dtype);
    const y = p.matmul(p.rows(p.cast(x, wide)), p.cast(weightOf(p, weight, attrs), wide), { tb: true });
    const sum = bias ? p.add(y, p.cast(bias, wide)) : y;
    return { out: { y: p.reshape(p.cast(sum, x.dtype), [...x.shape.slice(0, -1), attrs.shape[0]]) }, saved: {} };
  },
  vjp(p, { kept: { codes, absmax, nestedAbsmax, offset }, grad: { y }, attrs, wants, spec }) {
    const wide = wideOf(y.dtype);
    const g = p.rows(p.cast(y, wide));
    const packed = codes && absmax && { codes, absmax, ...(nestedAbsmax && offset && { nestedAbsmax, offset }) };
    const dx = packed && p.matmul(g, p.cast(weightOf(p, packed, attrs), wide));
    return {
      ...(dx && { x: p.cast(p.reshape(dx, spec.x.shape), spec.x.dtype) }),
      ...(wants.bias && spec.bias && { bias: p.cast(p.unbroadcast(g, spec.bias.shape), spec.bias.dtype) }),
    };
  },
});

/** The largest magnitude of each block: as it is, or nested, that is u8 codes of the signed dynamic map in blocks of 256. */
export type Absmax4bit =
  | { readonly absmax: Tensor<"f32", readonly ["block"]>; readonly nestedAbsmax?: never; readonly offset?: never }
  | {
      readonly absmax: Tensor<"u8", readonly ["block"]>;
      /** [⌈blocks/256⌉] */
      readonly nestedAbsmax: Tensor<"f32", readonly ["nested"]>;
      readonly offset: Tensor<"f32", readonly []>;
    };

/** A frozen weight [O, I] in a 4-bit format: codes [⌈n/2⌉] and the absmax of each block [⌈n/blockSize⌉]. */
export type Weight4bit<O extends string, I extends string> = Format4bit &
  Absmax4bit & {
    readonly shape: readonly [number, number];
    readonly axes: readonly [O, I];
    readonly codes: Tensor<"u8", readonly ["byte"]>;
  };

/**
 * x · weightᵀ + bias over a frozen weight in NF4 or FP4 (QLoRA, Dettmers et al. 2023), in the dtype of x. The weight is
 * decoded in f32 while it is multiplied; products and sums are f32 (f64 for f64). Gradients: x and bias.
 */
export function nf4Linear<D extends FloatDType, B extends Axes, I extends string, O extends string>(
  x: Tensor<D, readonly [...B, I]>,
  weight: Weight4bit<O, NoInfer<I>>,
  bias?: Tensor<FloatDType, readonly [NoInfer<O>]>,
): Tensor<D, readonly [...B, O]> {
  const { type, blockSize, shape, codes, absmax, nestedAbsmax, offset } = weight;
  const inputs = {
    x,
    codes,
    absmax,
    ...(nestedAbsmax && { nestedAbsmax }),
    ...(offset && { offset }),
    ...(bias && { bias }),
  };
  const axes = { y: [...x.axes.slice(0, -1), weight.axes[0]] };
  return run(nf4LinearOp, { in: inputs, attrs: { type, blockSize, shape }, axes }).y;
}
