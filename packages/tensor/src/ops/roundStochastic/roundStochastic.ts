import type { View } from "../../backend.ts";
import { sizeOf } from "../../dtype.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";

/** Inputs, outputs and attributes of roundStochastic, as kernels and references see them. */
export type RoundStochastic = {
  in: {
    /** f32, or f64 */
    x: View;
    /** 0-d, the step as a whole number in a float dtype */
    step: View;
  };
  /** bf16 */
  out: { y: View };
  attrs: {
    readonly seed: number;
    /** stream of the first block of x */
    readonly stream: number;
  };
  keeps: {};
  saved: {};
};

/** Elements of a block: element i of block k draws number i of the stream `stream + k`. */
export const roundBlock: number = 2 ** 22;

/** x to bf16, up or down in magnitude with the probabilities that make it right on average: up where u < what truncation cuts off. */
export const roundStochasticOp: Op<RoundStochastic> = defineOp<RoundStochastic>({
  name: "roundStochastic",
  keeps: () => ({}),
  infer: ({ in: { x } }) => ({ out: { y: { dtype: "bf16", shape: x.shape } }, saved: {} }),
  forward(p, { in: { x, step }, attrs: { seed, stream } }) {
    const size = sizeOf(x.shape);
    const flat = p.reshape(x, [size]);
    const at = p.cast(step, "i32");
    const blocks: View[] = [];
    for (let k = 0; k === 0 || k * roundBlock < size; k++) {
      const block = size <= roundBlock ? flat : p.slice(flat, 0, k * roundBlock, Math.min(size, (k + 1) * roundBlock));
      const u = p.random(block.shape, at, { seed, stream: (stream + k) >>> 0 });
      blocks.push(rounded(p, block, p.cast(u, x.dtype)));
    }
    return { out: { y: p.reshape(blocks.length === 1 ? blocks[0]! : p.concat(blocks, 0), x.shape) }, saved: {} };
  },
});

/** With s = 2^(e−7), the spacing of bf16 where |x| in [2^e, 2^(e+1)): sign(x)·s·(⌊|x|/s⌋ + (u < |x|/s − ⌊|x|/s⌋)). */
function rounded(p: P, x: View, u: View): View {
  const size = p.unary("abs", x);
  const spacing = p.mul(powerBelow(p, size), 2 ** -7);
  const whole = p.unary("floor", p.div(size, spacing));
  const cut = p.sub(p.div(size, spacing), whole);
  const up = p.where(p.compare("lt", u, cut), p.add(whole, 1), whole);
  const magnitude = p.mul(up, spacing);
  const signed = p.where(p.compare("lt", x, 0), p.neg(magnitude), magnitude);
  // infinities and NaN stay what they are, and so do numbers that no weight reaches, rounded to nearest
  return p.cast(p.where(p.compare("lt", size, largest), signed, x), "bf16");
}

/** The largest power of two up to x, at least 2^-100: by a logarithm that may be off by one, put right by comparison. */
function powerBelow(p: P, x: View): View {
  const smallest = p.fill({ dtype: x.dtype, shape: [] }, 2 ** -100);
  const clamped = p.binary("min", p.binary("max", x, smallest), p.fill({ dtype: x.dtype, shape: [] }, largest));
  const exponent = p.unary("floor", p.mul(p.log(clamped), 1 / Math.LN2));
  const near = p.exp(p.mul(exponent, Math.LN2));
  // to one bit by Veltkamp's splitting, since exp gives a power of two only nearly
  const shifted = p.mul(near, x.dtype === "f64" ? 2 ** 52 + 1 : 2 ** 23 + 1);
  const power = p.sub(shifted, p.sub(shifted, near));
  const below = p.where(p.compare("lt", clamped, power), p.mul(power, 0.5), power);
  return p.where(p.compare("le", p.mul(below, 2), clamped), p.mul(below, 2), below);
}

const largest = 2 ** 100;
