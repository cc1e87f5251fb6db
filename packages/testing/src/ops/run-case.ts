import { type Backend, isFloat, memory, scope, sizeOf, type Tensor, valueAndGrad } from "@ft/tensor";
import { add, scale } from "@ft/tensor/ops";
import { type HostTensor, numbers, upload } from "../host.ts";
import { project } from "../project.ts";
import { randomFrom } from "../random.ts";
import type { CaseInputs } from "./op-case.ts";

/**
 * How the inputs reach the op. `held`: as they are, held by the caller, so that no kernel may overwrite one.
 * `passing`: as results of another op that nobody else holds, so that kernels may take over every buffer they can.
 */
export type Passage = "held" | "passing";

/** What a case made: outputs, gradients and axis names by name. */
export interface CaseResult {
  readonly outputs: Map<string, ArrayLike<number>>;
  readonly grads: Map<string, ArrayLike<number>>;
  readonly axes: Map<string, readonly string[]>;
  /** inputs after the run, where the caller still held them */
  readonly inputs: Map<string, ArrayLike<number>>;
  /** live buffers left over */
  readonly leaked: number;
}

/**
 * Runs one case on a backend: the outputs without a tape, then again with one, and the gradients of `wanted` when each
 * element of each output has a random gradient. `seed` fixes those.
 */
export async function runCase(
  backend: Backend,
  { inputs, consumes = [], call }: Pick<CaseInputs, "inputs" | "consumes" | "call">,
  { wanted, passage, seed }: { readonly wanted: readonly string[]; readonly passage: Passage; readonly seed: number },
): Promise<CaseResult> {
  const before = memory(backend).live;
  const held = mapValues(inputs, (host): Tensor<any> => upload(backend, host));
  const ones = new Map<string, Tensor<any, readonly []>>();
  if (passage === "passing")
    for (const { dtype } of Object.values(held))
      if (isFloat(dtype) && !ones.has(dtype))
        ones.set(dtype, upload(backend, { dtype, axes: [], shape: [], values: [1] }));
  const passed = (): { [name: string]: Tensor<any> } =>
    mapValues(held, (x, name) => {
      if (passage === "held" || !isFloat(x.dtype)) return consumes.includes(name) ? x.as(...x.axes) : x;
      return scale(x, ones.get(x.dtype)!);
    });

  const outputs = new Map<string, ArrayLike<number>>();
  const axes = new Map<string, readonly string[]>();
  const made = scope(() => call(passed()));
  const weights: { [name: string]: Tensor } = {};
  for (const [i, [name, y]] of Object.entries(made).entries()) {
    outputs.set(name, await numbers(y));
    axes.set(name, y.axes);
    if (wanted.length > 0) weights[name] = upload(backend, gradientOf(y, seed + i));
    y.dispose();
  }

  const grads = new Map<string, ArrayLike<number>>();
  if (wanted.length > 0) {
    const params = new Map(wanted.map((name) => [name, held[name]!]));
    const { value, grads: got } = valueAndGrad(params, () => {
      const losses = Object.entries(call(passed())).map(([name, y]) => project(y, weights[name]!));
      return losses.reduce((sum, loss) => add(sum, loss));
    });
    value.dispose();
    for (const [name, grad] of got) {
      grads.set(name, await numbers(grad));
      grad.dispose();
    }
  }
  const after = new Map<string, ArrayLike<number>>();
  for (const [name, x] of Object.entries(held)) after.set(name, await numbers(x));
  for (const x of [...Object.values(held), ...Object.values(weights), ...ones.values()]) x.dispose();
  return { outputs, grads, axes, inputs: after, leaked: memory(backend).live - before };
}

/** The gradient handed to an output: the same numbers for every backend and dtype, but for rounding. */
function gradientOf(y: Tensor, seed: number): HostTensor {
  const random = randomFrom(seed, 77);
  // multiples of 1/8: exact in every float dtype, so that rounding them is not part of the comparison
  const values = random.list(sizeOf(y.shape), () => (random.int(1, 16) / 8) * (random.chance(0.5) ? 1 : -1));
  return { dtype: y.dtype, axes: y.axes, shape: y.shape, values };
}

function mapValues<V, W>(
  record: { readonly [name: string]: V },
  fn: (value: V, name: string) => W,
): { [name: string]: W } {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, fn(value, name)]));
}
