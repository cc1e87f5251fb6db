import { defineKernel, dim, type Kernel, sizeOf } from "@ft/tensor";
import { type RmsNorm, type Rope, rmsNormOp, ropeOp } from "@ft/tensor/ops";
import type { CudaContext, CudaView } from "../context.ts";
import { aligned, chunkOf, floatCode, threeFloats } from "./alignment.ts";

/** How rows are dealt to threads: `lanes` threads a row, a warp or a whole block. */
interface RowLaunch {
  readonly grid: number;
  readonly block: number;
  readonly lanes: number;
}

/** The chunks of a row that a thread holds in registers: HELD of kernels/norm.cu. */
const held = 4;
/** Threads to a block at most: BOUNDS of kernels/norm.cu. */
const mostLanes = 256;
/** So many rows keep every multiprocessor busy with few threads each. */
const manyRows = 1024;

/** Short rows take a warp each. Long ones take a block, of as many threads as hold the row, or of more where rows are few. */
export function launchRows(rows: number, chunks: number): RowLaunch {
  const each = rows >= manyRows ? held : 1;
  const lanes = Math.min(mostLanes, 32 * Math.ceil(chunks / each / 32));
  // a warp needs no barrier; two to a block
  if (lanes <= 32 || chunks <= 64) return { grid: Math.ceil(rows / 2), block: 64, lanes: 32 };
  return { grid: rows, block: lanes, lanes };
}

/** Rows to a part of the sum over rows: some 500 blocks in all, whatever the card, so that sums are the same on any. */
function partsOf(rows: number, tiles: number): { rowsEach: number; parts: number } {
  const wanted = Math.max(1, Math.ceil(512 / tiles));
  const rowsEach = Math.max(32, 8 * Math.ceil(rows / wanted / 8));
  return { rowsEach, parts: Math.max(1, Math.ceil(rows / rowsEach)) };
}

/** Whether rows of `width` elements of x's dtype, and what is read along with them, may be moved in whole chunks. */
const whole = (width: number, x: CudaView, ...others: readonly CudaView[]): 0 | 1 =>
  width % chunkOf(x.dtype) === 0 ? aligned(x, ...others) : 0;

const rowsOf = (x: CudaView): number => sizeOf(x.shape.slice(0, -1));

export const rmsNormKernel: Kernel<RmsNorm, CudaContext> = defineKernel(rmsNormOp, {
  accepts: ({ in: { x, weight } }) => threeFloats.has(x.dtype) && threeFloats.has(weight.dtype),

  forward(context, { in: { x, weight }, attrs: { eps }, out: { y }, saved: { rstd } }) {
    const [rows, h] = [rowsOf(x), dim(x, -1)];
    const { grid, block, lanes } = launchRows(rows, Math.ceil(h / chunkOf(x.dtype)));
    const wide = whole(h, x, weight, y);
    const args = [x, weight, floatCode(weight), rows, h, eps, lanes, wide, y, rstd];
    context.launch(`rms_norm_forward_${x.dtype}`, grid, block, args);
  },

  /** The gradient of x is added to the one that is there: the residual stream's. */
  vjp(context, { kept: { x, weight }, saved: { rstd }, grad: { y: g }, wants, into, onto }) {
    const [rows, h] = [rowsOf(x), dim(x, -1)];
    const made: Partial<RmsNorm["in"]> = {};
    // first, since the gradient of x may overwrite g
    if (wants.weight) {
      made.weight = into("weight");
      sumColumns(context, { x, g, rstd, rows, h }, made.weight);
    }
    if (wants.x) {
      const { to, beta } = onto("x", g);
      made.x = to;
      const { grid, block, lanes } = launchRows(rows, Math.ceil(h / chunkOf(x.dtype)));
      const wide = whole(h, x, weight, g, to);
      const args = [x, weight, floatCode(weight), rstd, g, rows, h, lanes, wide, to];
      context.launch(`rms_norm_backward_${beta === 1 ? "onto_" : ""}${x.dtype}`, grid, block, args);
    }
    return made;
  },
});

interface Columns {
  readonly x: CudaView;
  readonly g: CudaView;
  readonly rstd: CudaView;
  readonly rows: number;
  readonly h: number;
}

/** The weight's gradient: sums over rows in parts, then over the parts, in a fixed order. */
function sumColumns(context: CudaContext, { x, g, rstd, rows, h }: Columns, to: CudaView): void {
  const [width, kind] = whole(h, x, g) ? [chunkOf(x.dtype), ""] : [1, "_single"];
  const tiles = Math.ceil(h / (32 * width));
  const { rowsEach, parts } = partsOf(rows, tiles);
  context.scratch(parts * h * 4, (sums) => {
    const args = [x, g, rstd, rows, h, rowsEach, sums];
    context.launch(`rms_norm_columns${kind}_${x.dtype}`, [tiles, parts], 256, args);
    context.launch(`rms_norm_weight_${to.dtype}`, Math.ceil(h / 32), 256, [sums, parts, h, to]);
  });
}

export const ropeKernel: Kernel<Rope, CudaContext> = defineKernel(ropeOp, {
  accepts: ({ in: { x, inverseFrequencies } }) => threeFloats.has(x.dtype) && inverseFrequencies.dtype === "f32",
  forward(context, { in: inputs, out: { y } }) {
    rotate(context, inputs, 1, y);
  },
  vjp(context, { kept, grad: { y }, into }) {
    const x = into("x", y);
    rotate(context, { ...kept, x: y }, -1, x);
    return { x };
  },
});

/** Pairs of chunks to a block: two a thread. */
const pairsWanted = 512;

function rotate(
  context: CudaContext,
  { x, positions, inverseFrequencies }: Rope["in"],
  sign: 1 | -1,
  y: CudaView,
): void {
  const [tokens, heads, d] = [sizeOf(positions.shape), dim(x, 2), dim(x, 3)];
  const pairs = heads * Math.ceil(d / 2 / chunkOf(x.dtype));
  // shared memory holds 4 d bytes a token
  const each = Math.max(1, Math.min(16, Math.floor(pairsWanted / pairs), Math.ceil(tokens / 264)));
  const args = [x, positions, inverseFrequencies, tokens, heads, d, each, sign, whole(d / 2, x, y), y];
  context.launch(`rope_${x.dtype}`, Math.ceil(tokens / each), 256, args, each * d * 4);
}
