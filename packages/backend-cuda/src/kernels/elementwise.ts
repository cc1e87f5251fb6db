import { type DType, defineKernel, type Kernel, sizeOf } from "@ft/tensor";
import {
  type Add,
  addOp,
  type Divide,
  type Dropout,
  type DropoutAttrs,
  divideOp,
  dropoutOp,
  type Scale,
  type SumSquares,
  type SumSquaresEach,
  type SwiGlu,
  scaleOp,
  sumSquaresEachOp,
  sumSquaresOp,
  swigluOp,
} from "@ft/tensor/ops";
import { type Address, at, type CudaContext, type CudaView } from "../context.ts";
import { aligned, chunkOf, flatBlock, flatGrid, threeFloats } from "./alignment.ts";

export const addKernel: Kernel<Add, CudaContext> = defineKernel(addOp, {
  accepts: ({ in: { a, b } }) => threeFloats.has(a.dtype) && a.dtype === b.dtype,
  forward(context, { in: { a, b }, out: { y } }) {
    const n = sizeOf(y.shape);
    context.launch(`flat_add_${y.dtype}`, flatGrid(n, y.dtype), flatBlock, [a, b, n, aligned(a, b, y), y]);
  },
});

/** x by a number that lies on the card; the gradient of x is that of the result by the same number. */
function byNumber(name: "scale" | "divide"): Pick<Kernel<Scale, CudaContext>, "accepts" | "forward" | "vjp"> {
  const queue = (context: CudaContext, x: CudaView, by: CudaView, y: CudaView): void => {
    const n = sizeOf(x.shape);
    context.launch(`flat_${name}_${x.dtype}`, flatGrid(n, x.dtype), flatBlock, [x, by, n, aligned(x, y), y]);
  };
  return {
    accepts: ({ in: { x, by } }) => threeFloats.has(x.dtype) && x.dtype === by.dtype,
    forward: (context, { in: { x, by }, out: { y } }) => queue(context, x, by, y),
    vjp(context, { kept: { by }, grad: { y }, wants, into }) {
      if (!wants.x) return {};
      const x = into("x", y);
      queue(context, y, by, x);
      return { x };
    },
  };
}

export const scaleKernel: Kernel<Scale, CudaContext> = defineKernel(scaleOp, byNumber("scale"));
export const divideKernel: Kernel<Divide, CudaContext> = defineKernel(divideOp, byNumber("divide"));

/** One pass; the gradients overwrite gate and up when the tape alone holds them. */
export const swigluKernel: Kernel<SwiGlu, CudaContext> = defineKernel(swigluOp, {
  accepts: ({ in: { gate, up } }) => threeFloats.has(gate.dtype) && gate.dtype === up.dtype,
  forward(context, { in: { gate, up }, out: { y } }) {
    const n = sizeOf(y.shape);
    const args = [gate, up, n, aligned(gate, up, y), y];
    context.launch(`swiglu_forward_${y.dtype}`, flatGrid(n, y.dtype), flatBlock, args);
  },
  vjp(context, { kept: { gate, up }, grad: { y }, wants, into }) {
    const made: Partial<SwiGlu["in"]> = {};
    if (wants.gate) made.gate = into("gate", gate);
    if (wants.up) made.up = into("up", up);
    const n = sizeOf(y.shape);
    const args = [gate, up, y, n, aligned(gate, up, y, made.gate, made.up), made.gate, made.up];
    context.launch(`swiglu_backward_${y.dtype}`, flatGrid(n, y.dtype), flatBlock, args);
    return made;
  },
});

/** A tensor as a flat array. */
export interface FlatArray {
  readonly at: Address;
  readonly dtype: DType;
  readonly count: number;
}
const flat = (x: CudaView): FlatArray => ({ at: at(x), dtype: x.dtype, count: sizeOf(x.shape) });

export const dropoutKernel: Kernel<Dropout, CudaContext> = defineKernel(dropoutOp, {
  accepts: ({ in: { x }, attrs }) => threeFloats.has(x.dtype) && attrs.rate > 0,
  forward(context, { in: { x, step }, attrs, out: { y } }) {
    dropoutInto(context, flat(x), attrs, step, at(y));
  },
  vjp(context, { kept: { step }, grad: { y }, attrs, into }) {
    const x = into("x", y);
    dropoutInto(context, flat(y), attrs, step, at(x));
    return { x };
  },
});

/**
 * out = x / (1 − rate) where the element's uniform number is at least `rate`, else 0: the same mask as on every backend.
 * `out` may be x. The step is read on the card, so that a recorded step draws anew.
 */
export function dropoutInto(
  context: CudaContext,
  x: FlatArray,
  { rate, seed, stream }: DropoutAttrs,
  step: CudaView,
  out: Address,
): void {
  // word · 2^-24 >= rate, exactly, as a comparison of whole numbers
  const threshold = Math.ceil(rate * 2 ** 24);
  const args = [x.at, step, seed, stream, threshold, 1 / (1 - rate), x.count, aligned(x.at, out), out];
  context.launch(`dropout_${x.dtype}`, flatGrid(x.count, x.dtype), flatBlock, args);
}

/** Up to so many elements one block adds up by itself. */
const alone = 1 << 16;
const aloneBlock = 1024;

/** In f32 within a thread and in f64 beyond, in a fixed order. */
export const sumSquaresKernel: Kernel<SumSquares, CudaContext> = defineKernel(sumSquaresOp, {
  accepts: ({ in: { x } }) => threeFloats.has(x.dtype),
  forward(context, { in: { x }, out: { y } }) {
    const n = sizeOf(x.shape);
    if (n <= alone) {
      context.launch(`sum_squares_${x.dtype}`, 1, aloneBlock, [x, n, aligned(x), y]);
      return;
    }
    const blocks = Math.min(1024, Math.ceil(n / (flatBlock * 4 * chunkOf(x.dtype))));
    context.scratch(blocks * 8, (parts) => {
      context.launch(`sum_squares_parts_${x.dtype}`, blocks, flatBlock, [x, n, aligned(x), parts]);
      context.launch("sum_squares_join", 1, 256, [parts, blocks, y]);
    });
  },
});

/** what one launch takes */
const together = 30;

/** As sumSquares, thirty tensors a launch: `parts` numbers of each, which one more launch adds up. */
export const sumSquaresEachKernel: Kernel<SumSquaresEach, CudaContext> = defineKernel(sumSquaresEachOp, {
  accepts: ({ in: specs }) => Object.values(specs).every(({ dtype }) => threeFloats.has(dtype)),
  forward(context, { in: views, out: { y } }) {
    const xs = Object.values(views);
    const largest = Math.max(...xs.map(({ shape }) => sizeOf(shape)));
    const parts = Math.max(1, Math.min(64, Math.ceil(largest / (flatBlock * 16))));
    context.scratch(xs.length * parts * 8, (sums) => {
      for (let first = 0; first < xs.length; ) {
        const { dtype } = xs[first]!;
        let end = first + 1;
        while (end < xs.length && end < first + together && xs[end]!.dtype === dtype) end++;
        const group = xs.slice(first, end);
        const rest = new Array<undefined>(together - group.length).fill(undefined);
        context.launch(`sum_squares_each_${dtype}`, [parts, group.length], flatBlock, [
          ...[...group, ...rest],
          ...[...group.map(({ shape }) => sizeOf(shape)), ...rest.map(() => 0)],
          sums + BigInt(first * parts * 8),
        ]);
        first = end;
      }
      context.launch("sum_squares_join", xs.length, 64, [sums, parts, y]);
    });
  },
});
