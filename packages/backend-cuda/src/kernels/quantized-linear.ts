import { bytesPerElement, defineKernel, dim, type FloatDType, type Kernel, type Spec, sizeOf } from "@ft/tensor";
import { type Int8LinearShape, int8LinearOp, type Nf4LinearShape, nf4LinearOp, type Packed4bit } from "@ft/tensor/ops";
import { type Address, at, type CudaContext, type CudaView } from "../context.ts";
import { aligned, threeFloats } from "./alignment.ts";
import { tables4bit } from "./code-tables.ts";
import { scaleArguments, unpack4bit } from "./dequantize.ts";
import { biasRows, columnSums } from "./linear.ts";
import { forwardProduct, inputGradientProduct, type Sizes } from "./products.ts";

/** rows of x up to which a 4-bit weight is multiplied as it is */
const fewRows = 8;
/** rows of the weight to a block of quantized-linear.cu */
const rowsOfBlock = 4;

type Floats = "f32" | "bf16" | "f16";

/** The dtype of x, which the weight is decoded to. */
function floatOf(dtype: Spec["dtype"]): Floats {
  return dtype === "bf16" || dtype === "f16" ? dtype : "f32";
}

const serves = (x: Spec, bias: Spec | undefined): boolean =>
  threeFloats.has(x.dtype) && (bias === undefined || bias.dtype === x.dtype);

/** Decodes the weight into a buffer. */
type Unpack = (to: { readonly at: Address; readonly dtype: FloatDType; readonly n: number }) => void;

/** Runs `fn` over the dense weight [n, k], which `unpack` writes to a work area. */
function withWeight(
  context: CudaContext,
  { n, k }: Sizes,
  dtype: Floats,
  unpack: Unpack,
  fn: (weight: Address) => void,
): void {
  context.scratch(n * k * bytesPerElement[dtype], (weight) => {
    unpack({ at: weight, dtype, n: n * k });
    fn(weight);
  });
}

interface Forward {
  readonly x: CudaView;
  readonly bias: CudaView | undefined;
  readonly y: CudaView;
}

/** y = x·Wᵀ + bias, the bias as the matrix that the product is added to. */
function forward(context: CudaContext, sizes: Sizes, { x, bias, y }: Forward, unpack: Unpack): void {
  withWeight(context, sizes, floatOf(x.dtype), unpack, (weight) => {
    if (bias) biasRows(context, bias, y, sizes.n);
    forwardProduct(context, sizes, { x, weight, y, beta: bias ? 1 : 0 });
  });
}

/** dX = g·W, onto what is there with beta 1. */
function inputGradient(
  context: CudaContext,
  sizes: Sizes,
  g: CudaView,
  { to, beta }: { readonly to: CudaView; readonly beta: 0 | 1 },
  unpack: Unpack,
): CudaView {
  withWeight(context, sizes, floatOf(g.dtype), unpack, (weight) =>
    inputGradientProduct(context, sizes, { g, weight, to, beta }),
  );
  return to;
}

/** Few rows of x, as in generating text: the codes are read once and no dense weight is made. */
function fewRowsForward(
  context: CudaContext,
  { m, n, k }: Sizes,
  { x, bias, y }: Forward,
  packed: Packed4bit<CudaView>,
  { type, blockSize }: Nf4LinearShape["attrs"],
): void {
  const most = m <= 1 ? 1 : m <= 2 ? 2 : m <= 4 ? 4 : 8;
  const weight = [packed.codes, ...scaleArguments(context, packed), tables4bit(context, type).values];
  const args = [x, ...weight, bias, y, m, n, k, Math.log2(blockSize)];
  context.launch(`rows_4bit_${x.dtype}_${most}`, Math.ceil(n / rowsOfBlock), 128, args);
}

/** As linear, over codes: the dense weight exists for one product at a time, in the dtype of x. */
export const nf4LinearKernel: Kernel<Nf4LinearShape, CudaContext> = defineKernel(nf4LinearOp, {
  accepts: ({ in: { x, bias, absmax, nestedAbsmax, offset } }) =>
    serves(x, bias) &&
    (nestedAbsmax === undefined ? absmax.dtype === "f32" : nestedAbsmax.dtype === "f32" && offset?.dtype === "f32"),
  forward(context, { in: { x, bias, ...packed }, attrs, out: { y } }) {
    const [n, k] = attrs.shape;
    const sizes = { m: sizeOf(x.shape) / k, n, k };
    if (sizes.m === 0) return;
    const whole = k % Math.max(16, attrs.blockSize) === 0 && aligned(x) === 1 && at(packed.codes) % 8n === 0n;
    if (sizes.m <= fewRows && x.dtype !== "f32" && whole) fewRowsForward(context, sizes, { x, bias, y }, packed, attrs);
    else forward(context, sizes, { x, bias, y }, (to) => unpack4bit(context, packed, attrs, to));
  },
  vjp(context, { kept: { codes, absmax, nestedAbsmax, offset }, grad: { y: g }, attrs, wants, spec, onto, into }) {
    const [n, k] = attrs.shape;
    const sizes = { m: sizeOf(spec.x.shape) / k, n, k };
    const made: Partial<Nf4LinearShape["in"]> = {};
    if (codes && absmax) {
      const packed = { codes, absmax, ...(nestedAbsmax && { nestedAbsmax }), ...(offset && { offset }) };
      made.x = inputGradient(context, sizes, g, onto("x"), (to) => unpack4bit(context, packed, attrs, to));
    }
    if (wants.bias) {
      made.bias = into("bias");
      columnSums(context, g, sizes.m, n, made.bias);
    }
    return made;
  },
});

/** Decodes rows of i8 codes into a buffer. */
function unpackRows(
  context: CudaContext,
  { weight, absmax }: { readonly weight: CudaView; readonly absmax: CudaView },
  to: { readonly at: Address; readonly dtype: FloatDType },
): void {
  const [n, k] = [dim(weight, 0), dim(weight, 1)];
  const packed = k % 8 === 0 && at(weight) % 8n === 0n && to.at % 16n === 0n ? 1 : 0;
  if (n > 0) context.launch(`dequantize_rows_${to.dtype}`, n, 256, [weight, absmax, to.at, k, packed]);
}

/** As nf4Linear, over codes of 8 bits with a scale to a row. */
export const int8LinearKernel: Kernel<Int8LinearShape, CudaContext> = defineKernel(int8LinearOp, {
  accepts: ({ in: { x, bias, absmax } }) => serves(x, bias) && absmax.dtype === "f32",
  forward(context, { in: { x, weight, absmax, bias }, out: { y } }) {
    const [n, k] = [dim(weight, 0), dim(weight, 1)];
    const sizes = { m: sizeOf(x.shape) / k, n, k };
    if (sizes.m === 0) return;
    forward(context, sizes, { x, bias, y }, (to) => unpackRows(context, { weight, absmax }, to));
  },
  vjp(context, { kept: { weight, absmax }, grad: { y: g }, wants, spec, onto, into }) {
    const [n, k] = [dim(spec.weight, 0), dim(spec.weight, 1)];
    const sizes = { m: sizeOf(spec.x.shape) / k, n, k };
    const made: Partial<Int8LinearShape["in"]> = {};
    if (weight && absmax)
      made.x = inputGradient(context, sizes, g, onto("x"), (to) => unpackRows(context, { weight, absmax }, to));
    if (wants.bias) {
      made.bias = into("bias");
      columnSums(context, g, sizes.m, n, made.bias);
    }
    return made;
  },
});
