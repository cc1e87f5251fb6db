import { FtError, run, type Tensor } from "@ft/tensor";
import { castOp, roundBlock, roundStochasticOp } from "@ft/tensor/ops";
import type { AnyOptimizer, Place, Scalar } from "../optimizer.ts";

/** Settings of withStochasticRounding. */
export interface StochasticRoundingOptions {
  /** the numbers drawn depend on (seed, parameter, step, element) alone, so a resumed run draws the same; 0 */
  readonly seed?: number;
}

const drawn = "roundingStep";

/**
 * Trains parameters in bf16 without masters: each step is computed in f32 and rounded up or down by chance, so that updates
 * smaller than the spacing of bf16 arrive on average instead of being lost (Gupta et al. 2015, "Deep learning with limited
 * numerical precision"). No memory beside the optimizer's own; other dtypes pass through, but f16 is refused.
 */
export function withStochasticRounding(
  inner: AnyOptimizer,
  { seed = 0 }: StochasticRoundingOptions = {},
): AnyOptimizer {
  const { group, nonNegative } = inner;
  return {
    name: `stochastic(${inner.name})`,
    ...(group !== undefined && roundBlock % group === 0 && { group }),
    ...(nonNegative && { nonNegative }),
    roundsStochastically: true,
    init(at) {
      if (at.param.dtype !== "f16") return inner.init(at);
      throw new FtError("config", `${at.name} is f16: only bf16 is rounded by chance`, "use withMasterWeights");
    },
    scalars: (at) => ({ ...inner.scalars(at), [drawn]: at.step }),
    step(at) {
      const { [drawn]: step, ...scalars } = at.scalars;
      if (at.param.dtype !== "bf16" || step === undefined) return inner.step({ ...at, scalars });
      const grad = at.grad.dtype === "f32" ? at.grad : widen(at.grad);
      const next = inner.step({ ...at, scalars, param: widen(at.param), grad });
      return { param: round(next.param, step, seed, at), slots: next.slots };
    },
    ...(inner.evaluated && { evaluated: (at) => inner.evaluated?.(at) ?? at.param.as(...at.param.axes) }),
  };
}

function round(x: Tensor, step: Scalar, seed: number, { name, start = 0 }: Place): Tensor<"bf16"> {
  if (start % roundBlock !== 0)
    throw new FtError(
      "config",
      `${name} is stepped in a window from ${start} on`,
      `use windows of ${roundBlock} elements`,
    );
  const stream = (streamOf(name) + Math.floor(start / roundBlock)) >>> 0;
  return run(roundStochasticOp, { in: { x, step }, attrs: { seed, stream }, axes: { y: x.axes } }).y;
}

function widen(x: Tensor): Tensor<"f32"> {
  return run(castOp, { in: { x }, attrs: { dtype: "f32" }, axes: { y: x.axes } }).y;
}

/** A Philox stream per parameter (32-bit FNV-1a), apart from those of its other random numbers. */
function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const letter of `${name} rounding`) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}
