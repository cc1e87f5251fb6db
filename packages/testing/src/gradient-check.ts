import { type Parameter, scope, type Tensor, valueAndGrad } from "@ft/tensor";
import { expectClose } from "./close.ts";

/** Settings of checkGradient. */
export interface GradientCheckOptions {
  /** distance of the evaluations; 1e-5 balances truncation and rounding in f64 for values near 1 */
  readonly eps?: number;
  /** allowed difference over the largest element of the gradient; 1e-6 when absent */
  readonly relative?: number;
}

/**
 * Compares the tape's gradient of every element of every parameter with central differences at ±eps and ±2eps. `fn`
 * gives a scalar and closes over the parameters; f64 throughout. The parameters get their values back.
 */
export async function checkGradient(
  params: { readonly [name: string]: Parameter<"f64"> },
  fn: () => Tensor<"f64", readonly []>,
  { eps = 1e-5, relative = 1e-6 }: GradientCheckOptions = {},
): Promise<void> {
  const evaluate = async (): Promise<number> => {
    const y = scope(fn);
    const [value = Number.NaN] = await y.read();
    y.dispose();
    return value;
  };
  const { value, grads } = valueAndGrad(new Map(Object.entries(params)), fn);
  const [loss = Number.NaN] = await value.read();
  value.dispose();
  // a difference quotient cannot see below the rounding of the loss itself
  const noise = (8 * Math.max(Math.abs(loss), 1) * 2 ** -52) / eps;
  for (const [name, param] of Object.entries(params)) {
    const at = await param.read();
    const quotients = new Float64Array(at.length);
    for (let i = 0; i < at.length; i++) {
      const x = at[i]!;
      const slope = async (h: number): Promise<number> => {
        at[i] = x + h;
        const up = at[i]!;
        param.write(at);
        const above = await evaluate();
        at[i] = x - h;
        param.write(at);
        return (above - (await evaluate())) / (up - at[i]!);
      };
      // two central differences, extrapolated to a distance of 0 (Richardson): the error falls with eps⁴
      quotients[i] = (4 * (await slope(eps)) - (await slope(2 * eps))) / 3;
      at[i] = x;
      param.write(at);
    }
    const grad = grads.get(name);
    const got = grad === undefined ? new Float64Array(at.length) : await grad.read();
    grad?.dispose();
    const bound = { relative, floor: noise / relative, reason: `central differences with eps ${eps} in f64` };
    expectClose(Float64Array.from(got), quotients, bound, `gradient of ${name}`);
  }
}
