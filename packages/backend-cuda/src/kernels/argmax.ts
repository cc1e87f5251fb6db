import { defineKernel, dim, type Kernel, sizeOf } from "@ft/tensor";
import { type Argmax, argmaxOp } from "@ft/tensor/ops";
import type { CudaContext } from "../context.ts";
import { aligned, chunkOf, threeFloats } from "./alignment.ts";

const block = 256;
/** Elements of a row to a block: a few chunks to each thread. */
const each = 8192;
/** The most rows of a grid. */
const mostRows = 65535;

export const argmaxKernel: Kernel<Argmax, CudaContext> = defineKernel(argmaxOp, {
  accepts: ({ in: { x } }) => threeFloats.has(x.dtype) && sizeOf(x.shape.slice(0, -1)) <= mostRows,
  forward(context, { in: { x }, out: { y } }) {
    const [rows, width] = [sizeOf(y.shape), dim(x, -1)];
    if (rows === 0) return;
    const parts = Math.ceil(width / each);
    const whole = width % chunkOf(x.dtype) === 0 ? aligned(x) : 0;
    context.scratch(rows * parts * 8, (values) => {
      const places = values + BigInt(rows * parts * 4);
      context.launch(`argmax_part_${x.dtype}`, [parts, rows], block, [x, width, each, whole, values, places]);
      context.launch(`argmax_join_${x.dtype}`, rows, block, [x, width, values, places, parts, y]);
    });
  },
});
