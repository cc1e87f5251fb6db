import type { DType } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import type { CudaContext, CudaView } from "../context.ts";
import { launchRows, rmsNormKernel, ropeKernel } from "./norm-rope.ts";

let next = 0x1000n;
function view(dtype: DType, shape: readonly number[], shift = 0n): CudaView {
  next += 0x1000n;
  return { dtype, shape, storage: { buffer: { address: next + shift, bytes: 0 } } } as unknown as CudaView;
}

/** A context that writes down what is launched. */
function recording(): { context: CudaContext; launched: { name: string; args: readonly unknown[] }[] } {
  const launched: { name: string; args: readonly unknown[] }[] = [];
  const context = {
    launch: (name: string, _grid: unknown, _block: number, args: readonly unknown[]) => launched.push({ name, args }),
    scratch: (_: number, fn: (at: bigint) => unknown) => fn(0n),
  } as unknown as CudaContext;
  return { context, launched };
}

describe("launchRows", () => {
  it("gives every row its threads, in whole warps, within what the kernels are compiled for", () => {
    for (const rows of [0, 1, 3, 1023, 1024, 16384])
      for (const chunks of [1, 32, 33, 72, 128, 129, 512, 1024, 5000]) {
        const { grid, block, lanes } = launchRows(rows, chunks);
        expect(lanes % 32).toBe(0);
        expect(block % lanes).toBe(0);
        expect(block).toBeLessThanOrEqual(256);
        expect(grid * (block / lanes)).toBeGreaterThanOrEqual(rows);
        // only warps may find no row: a block has barriers
        if (lanes > 32) expect(grid).toBe(rows);
      }
  });
});

describe("rmsNorm", () => {
  const x = view("bf16", [4, 64]);
  const at = {
    kept: { x, weight: view("f32", [64]) },
    saved: { rstd: view("f32", [4, 1]) },
    attrs: { eps: 1e-5 },
    grad: { y: view("bf16", [4, 64]) },
    spec: { x, weight: { dtype: "f32", shape: [64] } },
    wants: { x: true, weight: true },
  } as const;

  it("sums the weight's gradient before that of x may overwrite what it reads, and adds to what is there", () => {
    const { context, launched } = recording();
    const [there, weight] = [view("bf16", [4, 64]), view("f32", [64])];
    const made = rmsNormKernel.vjp?.(context, { ...at, into: () => weight, onto: () => ({ to: there, beta: 1 }) });
    expect(made).toEqual({ x: there, weight });
    expect(launched.map(({ name }) => name)).toEqual([
      "rms_norm_columns_bf16",
      "rms_norm_weight_f32",
      "rms_norm_backward_onto_bf16",
    ]);
  });

  it("moves single elements where a tensor begins in the middle of another", () => {
    const { context, launched } = recording();
    const into = (): CudaView => view("bf16", [4, 64]);
    const shifted = { ...at.kept, x: view("bf16", [4, 64], 2n) };
    const onto = (): { to: CudaView; beta: 0 } => ({ to: into(), beta: 0 });
    rmsNormKernel.vjp?.(context, { ...at, kept: shifted, into, onto });
    expect(launched[0]?.name).toBe("rms_norm_columns_single_bf16");
    expect(launched[2]?.args.at(-2)).toBe(0);
  });
});

describe("rope", () => {
  it("turns back in the backward, over the gradient itself where nobody else reads it", () => {
    const { context, launched } = recording();
    const kept = { positions: view("i32", [1, 9]), inverseFrequencies: view("f32", [32]) };
    const y = view("bf16", [1, 9, 2, 64]);
    const into = (_: string, candidate?: unknown): CudaView => (candidate === y ? y : view("bf16", y.shape));
    const wants = { x: true, positions: false, inverseFrequencies: false };
    const spec = { x: y, ...kept };
    const onto = (): { to: CudaView; beta: 0 } => ({ to: y, beta: 0 });
    expect(ropeKernel.vjp?.(context, { kept, saved: {}, attrs: {}, grad: { y }, wants, spec, into, onto })).toEqual({
      x: y,
    });
    expect(launched[0]?.args.slice(7)).toEqual([-1, 1, y]);
  });
});
