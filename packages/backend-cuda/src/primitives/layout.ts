import { bytesPerElement, dim, FtError, type PrimitiveKernels, sizeOf } from "@ft/tensor";
import { at, type CudaBuffer, type CudaContext } from "../context.ts";
import { threeFloats } from "../kernels/alignment.ts";
import { convertInto } from "../kernels/convert.ts";
import { block, blocksOf, dtypeCode } from "./elementwise.ts";
import { denseStrides, walk } from "./strides.ts";

type Layout = Pick<
  PrimitiveKernels<CudaBuffer>,
  "fill" | "iota" | "random" | "cast" | "permute" | "slice" | "concat" | "gather"
>;

/** Kernels that make or move values. */
export function layout(context: CudaContext): Layout {
  return {
    fill(_, { value }, out) {
      const n = sizeOf(out.shape);
      if (Object.is(value, 0)) context.fill(at(out), 0, n * bytesPerElement[out.dtype]);
      else context.launch("fill_any", blocksOf(context, n), block, [value, out, dtypeCode[out.dtype], n]);
    },
    iota(_, __, out) {
      const n = sizeOf(out.shape);
      context.launch("iota_any", blocksOf(context, n), block, [out, dtypeCode[out.dtype], n]);
    },
    random({ step }, { seed, stream }, out) {
      if (out.dtype !== "f32")
        throw new FtError("dtype", `[random] makes f32, asked for ${out.dtype}`, "cast the result");
      const n = sizeOf(out.shape);
      context.launch("random_f32", blocksOf(context, Math.ceil(n / 4)), block, [step, seed, stream, n, out]);
    },
    cast({ x }, _attrs, out) {
      const n = sizeOf(x.shape);
      if (x.dtype === out.dtype || (threeFloats.has(x.dtype) && threeFloats.has(out.dtype)))
        convertInto(context, { at: at(x), dtype: x.dtype, count: n }, { at: at(out), dtype: out.dtype });
      else
        context.launch("cast_any", blocksOf(context, n), block, [x, dtypeCode[x.dtype], out, dtypeCode[out.dtype], n]);
    },
    permute({ x }, { order }, out) {
      const dense = denseStrides(x.shape);
      const { sizes, strides } = walk(out.shape, [order.map((axis) => dense[axis]!), denseStrides(out.shape)]);
      const n = sizeOf(out.shape);
      const args = [x, 0, n, ...sizes, ...strides.flat(), out, 0];
      context.launch(`strided_${bytesPerElement[x.dtype]}`, blocksOf(context, n), block, args);
    },
    slice({ x }, { start }, out) {
      const dense = denseStrides(x.shape);
      const from = start.reduce((sum, s, axis) => sum + s * dense[axis]!, 0);
      const { sizes, strides } = walk(out.shape, [dense, denseStrides(out.shape)]);
      const n = sizeOf(out.shape);
      const args = [x, from, n, ...sizes, ...strides.flat(), out, 0];
      context.launch(`strided_${bytesPerElement[x.dtype]}`, blocksOf(context, n), block, args);
    },
    concat({ xs }, { axis }, out) {
      const dense = denseStrides(out.shape);
      let place = 0;
      for (const x of xs) {
        const { sizes, strides } = walk(x.shape, [denseStrides(x.shape), dense]);
        const n = sizeOf(x.shape);
        const args = [x, 0, n, ...sizes, ...strides.flat(), out, place * dense[axis]!];
        context.launch(`strided_${bytesPerElement[x.dtype]}`, blocksOf(context, n), block, args);
        place += dim(x, axis);
      }
    },
    gather({ table, index }, _attrs, out) {
      const width = sizeOf(table.shape.slice(1));
      const n = sizeOf(out.shape);
      const args = [table, index, n, width, dim(table, 0), out];
      context.launch(`gather_${bytesPerElement[table.dtype]}`, blocksOf(context, n), block, args);
    },
  };
}
