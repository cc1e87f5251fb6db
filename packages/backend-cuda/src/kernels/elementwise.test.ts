import type { DType } from "@ft/tensor";
import { expect, it } from "vitest";
import type { CudaContext, CudaView } from "../context.ts";
import { dropoutInto, sumSquaresKernel } from "./elementwise.ts";

const view = (dtype: DType, shape: readonly number[]): CudaView =>
  ({ dtype, shape, storage: { buffer: { address: 4096n, bytes: 0 } } }) as unknown as CudaView;

function recording(): { context: CudaContext; launched: unknown[][] } {
  const launched: unknown[][] = [];
  const context = {
    launch: (...call: unknown[]) => launched.push(call),
    scratch: (_: number, fn: (at: bigint) => unknown) => fn(0n),
  } as unknown as CudaContext;
  return { context, launched };
}

it("drops exactly the numbers below the rate, compared as whole numbers of 24 bits", () => {
  const step = view("i32", []);
  const thresholds = [0, 0.1, 0.5, 1 - 2 ** -24].map((rate) => {
    const { context, launched } = recording();
    dropoutInto(context, { at: 0n, dtype: "bf16", count: 9 }, { rate, seed: 1, stream: 2 }, step, 0n);
    const [name, blocks, , args] = launched[0] ?? [];
    expect([name, blocks]).toEqual(["dropout_bf16", 1]);
    return Array.isArray(args) ? args[4] : undefined;
  });
  // 0.1 · 2^24 = 1677721.6: the first number that stays is 1677722
  expect(thresholds).toEqual([0, 1_677_722, 2 ** 23, 2 ** 24 - 1]);
});

it("adds up small tensors in one launch and large ones in two", () => {
  for (const [n, launches] of [
    [0, 1],
    [1 << 16, 1],
    [(1 << 16) + 1, 2],
  ] as const) {
    const { context, launched } = recording();
    const at = { in: { x: view("f32", [n]) }, attrs: {}, wants: { x: false } };
    sumSquaresKernel.forward?.(context, { ...at, out: { y: view("f32", []) }, saved: {} });
    expect(launched).toHaveLength(launches);
  }
});
