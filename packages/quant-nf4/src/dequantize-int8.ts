import { defineOp, type FloatDType, type Op, run, type Tensor, type View } from "@ft/tensor";
import { decodeInt8 } from "@ft/tensor/ops";

/** Inputs, outputs and attributes of dequantizeInt8. */
type DequantizeInt8 = {
  in: { codes: View; absmax: View };
  out: { y: View };
  attrs: { dtype: FloatDType };
  keeps: {};
  saved: {};
};

const dequantizeInt8Op: Op<DequantizeInt8> = defineOp<DequantizeInt8>({
  name: "dequantizeInt8",
  keeps: () => ({}),
  infer: ({ in: { codes }, attrs: { dtype } }) => ({ out: { y: { dtype, shape: codes.shape } }, saved: {} }),
  forward: (p, { in: { codes, absmax }, attrs: { dtype } }) => ({
    out: { y: p.cast(decodeInt8(p, codes, absmax), dtype) },
    saved: {},
  }),
});

/** code·absmax/127 by rows: codes [out, in], absmax [out]. Computed in f32 and rounded once. */
export function dequantizeInt8<D extends FloatDType, O extends string, I extends string>(
  codes: Tensor<"i8", readonly [O, I]>,
  absmax: Tensor<"f32", readonly [NoInfer<O>]>,
  dtype: D,
): Tensor<D, readonly [O, I]> {
  return run(dequantizeInt8Op, { in: { codes, absmax }, attrs: { dtype }, axes: { y: codes.axes } }).y;
}
