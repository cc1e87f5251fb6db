import { expect, test } from "vitest";
import { compile } from "./compile.ts";

// Types that compute make an editor slow long before anybody measures it. A file as a user writes one, against an empty
// one; the count is the compiler's own and does not depend on the machine.
const user = `
import { scalar, scope, type Backend, type Tensor, valueAndGrad, parameter } from "@ft/tensor";
import { add, attention, embedding, linear, linearCrossEntropy, loraLinear, matmul, mergeLast, rmsNorm, rope, splitLast, swiglu } from "@ft/tensor/ops";
import { adamw, cosine } from "@ft/optim";
import { DenseLinear, type Linear } from "@ft/nn";

type Hidden = Tensor<"f32", readonly ["batch", "seq", "hidden"]>;

export function block(
  x: Hidden,
  norm: Tensor<"f32", readonly ["hidden"]>,
  gate: Linear<"hidden", "ff">,
  up: Linear<"hidden", "ff">,
  down: Linear<"ff", "hidden">,
): Hidden {
  const h = rmsNorm(x, norm, 1e-5);
  return add(x, down.apply(swiglu(gate.apply(h), up.apply(h))));
}

export function adapted<B extends readonly string[], I extends string, O extends string>(
  base: Linear<I, O>,
  x: Tensor<"f32", readonly [...B, I]>,
  a: Tensor<"f32", readonly ["rank", I]>,
  b: Tensor<"f32", readonly [O, "rank"]>,
  step: Tensor<"i32", readonly []>,
): Tensor<"f32", readonly [...B, O]> {
  return loraLinear(base.apply(x), x, a, b, step, { scale: 2, rate: 0, seed: 0, stream: 0 });
}

export function product(backend: Backend): Tensor<"f32", readonly ["out", "n"]> {
  const w = parameter(backend, "f32", ["out", "in"], [2, 2], new Float32Array(4));
  const x = parameter(backend, "f32", ["in", "n"], [2, 2], new Float32Array(4));
  return scope(() => matmul(w, x));
}
export const optimizer = adamw({ weightDecay: 0.1 });
`;

test("a user's file stays below its budget of type instantiations", () => {
  const { verdicts, instantiations } = compile(new Map([["user", user]]));
  expect(verdicts.get("user")?.text).toBe("");
  const empty = compile(new Map([["user", "export {};\n"]])).instantiations;
  expect(instantiations - empty).toBeGreaterThan(0);
  expect(instantiations - empty).toBeLessThan(2_000);
});
