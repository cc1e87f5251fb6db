import { type AnyKernel, type Backend, type FloatDType, FtError, kernelTable } from "@ft/tensor";
import { expectClose, expectEqual, type Tolerance } from "../close.ts";
import { roundTo, widened } from "../host.ts";
import type { CaseInputs, CaseSize, OpCase } from "../ops/op-case.ts";
import { opCases } from "../ops/op-cases.ts";
import { type CaseResult, type Passage, runCase } from "../ops/run-case.ts";
import { randomFrom } from "../random.ts";
import { during } from "./runner.ts";

/** Bounds for a result computed in f32 and rounded to the dtype, against the same in f64. */
export const opTolerance: { readonly [D in FloatDType]: Tolerance } = {
  f64: { relative: 1e-12, floor: 0.1, reason: "sums of up to some thousand terms in f64" },
  f32: {
    relative: 1e-5,
    floor: 0.1,
    reason: "sums of up to some thousand terms in f32, and differences of values near 1",
  },
  f16: {
    relative: 4e-3,
    floor: 0.1,
    reason: "kept outputs and gradients are f16 (2^-11) and meet again in the backward",
  },
  bf16: {
    relative: 3e-2,
    floor: 0.1,
    reason: "kept outputs and gradients are bf16 (2^-8) and meet again in the backward",
  },
};

/** A random case with what the reference makes of it in f64. */
export interface Prepared {
  readonly title: string;
  readonly made: CaseInputs;
  readonly dtype: FloatDType;
  readonly seed: number;
  readonly wanted: readonly string[];
  readonly want: CaseResult;
}

export async function prepareOp(
  opCase: OpCase,
  reference: Backend,
  { dtype, seed, size }: { readonly dtype: FloatDType; readonly seed: number; readonly size: CaseSize },
): Promise<Prepared> {
  const made = opCase.make(randomFrom(seed), dtype, size);
  const wanted = wantedOf(made, seed);
  const wide = Object.fromEntries(Object.entries(made.inputs).map(([name, x]) => [name, widened(x)]));
  const want = await runCase(reference, { ...made, inputs: wide }, { wanted, passage: "held", seed });
  const shapes = Object.entries(made.inputs).map(([name, x]) => `${name} ${x.dtype} ${x.shape.join("×")}`);
  return { title: `${opCase.name}, seed ${seed}: ${shapes.join(", ")}`, made, dtype, seed, wanted, want };
}

/** Compares a case on `backend` with the reference: outputs, gradients, names, untouched inputs, no leak. */
export async function checkOp(backend: Backend, passage: Passage, prepared: Prepared): Promise<void> {
  const { title, made, dtype, seed, wanted, want } = prepared;
  await during(`${title}, ${passage}`, async () => {
    const got = await runCase(backend, made, { wanted, passage, seed });
    compare(got, want, opTolerance[dtype]);
    for (const name of made.exact ?? []) expectEqual(got.outputs.get(name) ?? [], want.outputs.get(name) ?? [], name);
    for (const [name, axes] of Object.entries(made.axes))
      if (got.axes.get(name)?.join() !== axes.join())
        throw new FtError("axes", `${name} has axes ${got.axes.get(name)?.join()}`, `they should be ${axes.join()}`);
    for (const [name, x] of Object.entries(made.inputs))
      expectEqual(got.inputs.get(name) ?? [], roundTo(x.dtype, x.values), `input ${name} after the run`);
    if (got.leaked !== 0)
      throw new FtError("numeric", `${got.leaked} buffers leaked`, "release what the kernel allocates");
  });
}

function compare(got: CaseResult, want: CaseResult, bound: Tolerance): void {
  for (const [name, values] of want.outputs) expectClose(got.outputs.get(name) ?? [], values, bound, name);
  for (const [name, values] of want.grads) expectClose(got.grads.get(name) ?? [], values, bound, `gradient of ${name}`);
  if (got.grads.size !== want.grads.size)
    throw new FtError(
      "numeric",
      `gradients of ${[...got.grads.keys()]}`,
      `there should be those of ${[...want.grads.keys()]}`,
    );
}

/** All differentiable inputs, or some: an op must not need gradients that nobody wants. */
export function wantedOf({ differentiable }: CaseInputs, seed: number): string[] {
  const random = randomFrom(seed, 5);
  if (random.chance(0.5)) return [...differentiable];
  const some = differentiable.filter(() => random.chance(0.5));
  return some.length > 0 ? some : [...differentiable];
}

/**
 * The backend with one half of each fused kernel taken out, so that the other half meets the reference: what a kernel
 * saves must mean what the reference saves.
 */
export function withOneHalf(backend: Backend, half: "forward" | "vjp"): Backend {
  const kernels = [...backend.kernels.values()].map(({ op, accepts, forward, vjp }): AnyKernel => {
    const part = half === "forward" ? { ...(forward && { forward }) } : { ...(vjp && { vjp }) };
    return { op, ...(accepts && { accepts }), ...part };
  });
  return { ...backend, kernels: kernelTable(kernels) };
}

/** The cases that a backend can hold in this dtype. */
export function casesFor(backend: Backend, dtype: FloatDType): readonly OpCase[] {
  return opCases.filter(({ needs = [] }) => [dtype, ...needs].every((d) => backend.dtypes.has(d)));
}
