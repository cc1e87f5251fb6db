import { type DType, FtError, run, scope, type Tensor, tensor, zeros } from "@ft/tensor";
import {
  adamwOp,
  cachedAttention,
  linearCrossEntropy,
  loraLinear,
  rope,
  sgdOp,
  splitLast,
  updateCache,
} from "@ft/tensor/ops";
import { leakCheck } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { createCpuBackend } from "../src/index.ts";

const native = await createCpuBackend({ threads: 1 });
const loops = await createCpuBackend({ native: false });

/** What C kernels would read outside their buffers for, and loops would compute without a word. */
describe.each([
  ["native kernels", native],
  ["reference loops", loops],
])("%s refuse", (_, backend) => {
  const of = <D extends DType>(dtype: D, ...shape: number[]): Tensor<D> =>
    zeros(
      backend,
      dtype,
      shape.map((_, i) => `axis${i}`),
      shape,
    );
  const f32 = (...shape: number[]): Tensor<"f32"> => of("f32", ...shape);
  const starts = (...places: number[]): Tensor<"i32"> =>
    tensor(backend, "i32", ["batch"], [places.length], Int32Array.from(places));

  /** The call throws an FtError with such a message, and nothing made on the way stays alive. */
  const refuses = (message: RegExp, call: () => unknown): Promise<void> =>
    leakCheck(backend, () => {
      let thrown: unknown;
      try {
        scope(() => void call());
      } catch (error) {
        thrown = error;
      }
      expect(FtError.is(thrown), `${thrown}`).toBe(true);
      expect(thrown).toHaveProperty("message", expect.stringMatching(message));
    });

  it("a split that does not divide", async () => {
    await refuses(/\[reshape\] 10 to 2\.5×4/, () => splitLast(f32(10), ["head", "headDim"], 4));
  });

  it("an optimizer step whose gradient or slots differ in size from the parameter", async () => {
    const attrs = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 };
    const axes = { param: ["n"], m: ["n"], v: ["n"] };
    const adamw = (grad: number, m: number, v: number): unknown => {
      const step = { lr: f32(), correction1: f32(), correction2: f32() };
      return run(adamwOp, { in: { param: f32(8), grad: f32(grad), m: f32(m), v: f32(v), ...step }, attrs, axes });
    };
    await refuses(/\[adamw\] param 8, grad 4, m 8, v 8/, () => adamw(4, 8, 8));
    await refuses(/\[adamw\] param 8, grad 8, m 4, v 8/, () => adamw(8, 4, 8));
    await refuses(/\[adamw\] param 8, grad 8, m 8, v 4/, () => adamw(8, 8, 4));
    const sgd = (grad: number, momentum: number): unknown =>
      run(sgdOp, {
        in: { param: f32(8), grad: f32(grad), momentum: f32(momentum), lr: f32() },
        attrs: { momentum: 0.9, nesterov: false, weightDecay: 0 },
        axes: { param: ["n"], momentum: ["n"] },
      });
    await refuses(/\[sgd\] param 8, grad 4/, () => sgd(4, 8));
    await refuses(/\[sgd\] param 8, grad 8, momentum 4/, () => sgd(8, 4));
  });

  it("rotary frequencies, adapters and heads of another rank", async () => {
    await refuses(/\[rope\]/, () => rope(f32(1, 2, 1, 4) as never, of("i32", 1, 2) as never, f32(2, 3) as never));
    const step = (): never => of("i32") as never;
    const attrs = { scale: 1, rate: 0, seed: 0, stream: 0 };
    await refuses(/\[loraLinear\]/, () =>
      loraLinear(f32(3, 5) as never, f32(3, 4) as never, f32(2, 4, 2) as never, f32(5, 2) as never, step(), attrs),
    );
    await refuses(/\[linearCrossEntropy\]/, () =>
      linearCrossEntropy(f32(3, 4) as never, f32(7, 4, 2) as never, of("i32", 3) as never, { chunk: 8 }),
    );
  });

  it("a loss in chunks of no rows", async () => {
    await refuses(/\[linearCrossEntropy\] chunk 0/, () =>
      linearCrossEntropy(f32(3, 4) as never, f32(7, 4) as never, of("i32", 3) as never, { chunk: 0 }),
    );
  });

  it("tokens beyond the end of a cache", async () => {
    const cache = (): never => f32(2, 4, 1, 8) as never;
    const rows = (seq: number): never => f32(2, seq, 1, 8) as never;
    await refuses(/\[updateCache\]/, () => updateCache(cache(), rows(5), starts(0, 0) as never));
    if (!backend.native) return; // values are the caller's to check; only the kernels have bounds of their own
    await refuses(/\[updateCache\] 2 tokens from place 3 on/, () =>
      updateCache(cache(), rows(2), starts(3, 0) as never),
    );
    await refuses(/\[updateCache\] 2 tokens from place -1 on/, () =>
      updateCache(cache(), rows(2), starts(0, -1) as never),
    );
    await refuses(/\[cachedAttention\] 2 tokens from place 3 on/, () =>
      cachedAttention(rows(2), cache(), cache(), starts(3, 0) as never, { scale: 1 }),
    );
  });
});

it.each([0, -1, 1.5, Number.NaN])("createCpuBackend refuses %d threads", async (threads) => {
  await expect(createCpuBackend({ threads })).rejects.toThrow(`[cpu] ${threads} threads`);
});
