import { type Backend, type DType, type FloatDType, FtError, isFloat, memory } from "@ft/tensor";
import { expectSameBytes } from "../close.ts";
import type { CaseSize } from "../ops/op-case.ts";
import { opCases } from "../ops/op-cases.ts";
import { runCase } from "../ops/run-case.ts";
import { primitiveCases } from "../primitives/primitive-cases.ts";
import { randomFrom } from "../random.ts";
import { casesFor, checkOp, prepareOp, withOneHalf } from "./ops.ts";
import { checkPrimitive } from "./primitives.ts";
import { lazily, type Runner } from "./runner.ts";

/** What backendConformance must know about a backend. */
export interface ConformanceOptions {
  /** dtypes the backend can hold; they must be in `backend.dtypes` */
  readonly dtypes: readonly DType[];
  /** a backend with f64 to compare ops with: the reference loops of @ft/backend-cpu */
  readonly reference: () => Backend | Promise<Backend>;
  /** random shapes per case; 8 when absent */
  readonly shapes?: number;
  /** in f32 also shapes large enough to be split between threads and blocks */
  readonly large?: boolean;
  /** the backend with one thread and with several: their results must be the same bytes */
  readonly threads?: readonly [() => Backend | Promise<Backend>, () => Backend | Promise<Backend>];
}

/**
 * The suite that a backend passes or is not one: every primitive against plain loops, every op forward and backward
 * against its reference in f64, with buffers held and taken over, each half of a fused kernel alone, axis names, leaks.
 * Let `makeBackend` fill fresh buffers with NaN where it can, so that what a kernel leaves unwritten shows.
 */
export function backendConformance(
  name: string,
  makeBackend: () => Backend | Promise<Backend>,
  options: ConformanceOptions,
  runner: Runner,
): void {
  const { describe, it, afterAll } = runner;
  const { dtypes, shapes = 8 } = options;
  const backend = lazily(makeBackend);
  const reference = lazily(options.reference);
  describe(name, () => {
    it("holds the dtypes it is tested with, and no other", async () => {
      const held = [...(await backend()).dtypes].sort().join();
      if (held !== [...dtypes].sort().join())
        throw new FtError("dtype", `it holds ${held}, tested are ${dtypes}`, "test every dtype that it declares");
    });
    for (const dtype of dtypes)
      describe(`primitives in ${dtype}`, () => {
        for (const primitive of primitiveCases)
          if (primitive.serves(dtype))
            it(primitive.title, async () => {
              for (let seed = 1; seed <= 3 * shapes; seed++)
                await checkPrimitive(await backend(), primitive, dtype, seed);
            });
      });
    for (const dtype of dtypes.filter(isFloat)) describeOps(dtype);
    if (options.threads !== undefined) describeThreads(options.threads);
    it("leaves no buffer alive", async () => {
      const { live } = memory(await backend());
      if (live !== 0) throw new FtError("numeric", `${live} buffers are alive after the suite`, "release them");
    });
    afterAll(() => {
      void backend().then((made) => made.dispose?.());
    });
  });

  function describeOps(dtype: FloatDType): void {
    describe(`ops in ${dtype}, forward and gradient against the reference in f64`, () => {
      for (const opCase of opCases)
        it(opCase.name, async () => {
          const [tested, wide] = [await backend(), await reference()];
          if (!casesFor(tested, dtype).includes(opCase)) return;
          const variants = [tested];
          if (tested.kernels.has(opCase.op.id))
            variants.push(withOneHalf(tested, "forward"), withOneHalf(tested, "vjp"));
          const check = async (seed: number, size: CaseSize): Promise<void> => {
            const prepared = await prepareOp(opCase, wide, { dtype, seed, size });
            for (const variant of variants)
              for (const passage of ["held", "passing"] as const) await checkOp(variant, passage, prepared);
          };
          for (let seed = 1; seed <= shapes; seed++) await check(seed, "small");
          if (options.large && dtype === "f32") await check(99, "large");
        });
    });
  }

  function describeThreads([makeOne, makeMany]: NonNullable<ConformanceOptions["threads"]>): void {
    const [one, many] = [lazily(makeOne), lazily(makeMany)];
    describe("same bytes for any number of threads", () => {
      for (const opCase of opCases)
        it(opCase.name, async () => {
          const at = { passage: "held", seed: 7 } as const;
          const inputs = opCase.make(randomFrom(7), "f32", "large");
          const wanted = inputs.differentiable;
          const [a, b] = [
            await runCase(await one(), inputs, { ...at, wanted }),
            await runCase(await many(), inputs, { ...at, wanted }),
          ];
          for (const kind of ["outputs", "grads"] as const)
            for (const [key, values] of a[kind])
              expectSameBytes(bytesOf(b[kind].get(key)), bytesOf(values), `${kind} ${key}`);
        });
      afterAll(() => {
        for (const backend of [one, many]) void backend().then((made) => made.dispose?.());
      });
    });
  }
}

/** f32 and its narrower forms fit f64 exactly, the sign of zero and NaN included. */
function bytesOf(values: ArrayLike<number> = []): Float64Array<ArrayBuffer> {
  return Float64Array.from(values);
}
