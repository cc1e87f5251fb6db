import type { DType } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import type { CudaContext, CudaView } from "../context.ts";
import { attentionKernel } from "./attention.ts";
import { cachedAttentionKernel, partsOf } from "./cached-attention.ts";

/** A card that writes down what it is asked for. */
function notedCard(over: Partial<CudaContext> = {}): { context: CudaContext; calls: string[]; said: string[] } {
  const [calls, said, kept]: [string[], string[], Map<string, unknown>] = [[], [], new Map()];
  const context: CudaContext = {
    card: { name: "none", capability: 90, multiprocessors: 132, memory: 2 ** 36 },
    stream: 0n,
    dry: true,
    deterministic: false,
    libraries: { cublasLt: "" },
    capturing: false,
    launch: (kernel) => calls.push(kernel),
    multiply: () => {},
    external: (name) => calls.push(name),
    scratch: (_bytes, fn) => fn(4096n),
    copy: () => {},
    fill: () => {},
    keep<T>(key: string, make: () => T): T {
      if (!kept.has(key)) kept.set(key, make());
      return kept.get(key) as T;
    },
    reserve: () => 4096n,
    upload: () => {},
    guard: (buffer, describe) => said.push(describe(buffer.host ?? new Int32Array())),
    ...over,
  };
  return { context, calls, said };
}

function view(dtype: DType, shape: readonly number[], host?: Int32Array): CudaView {
  const buffer = { address: 1024n, bytes: 0, host };
  return { dtype, shape, storage: { buffer } } as unknown as CudaView;
}

const runs = [1, 1, 1, 1, 1, 2, 2, 0];
function forward(
  dtype: DType,
  headDim: number,
  ids: readonly number[] | undefined,
  context: CudaContext,
  times = 1,
): void {
  const segments = view("i32", [2, 4], ids && Int32Array.from(ids));
  const [q, k, v] = [view(dtype, [2, 4, 6, headDim]), view(dtype, [2, 4, 2, headDim]), view(dtype, [2, 4, 2, headDim])];
  const more = { out: { y: q }, saved: { lse: view("f32", [2, 6, 4]) } };
  const wants = { q: true, k: true, v: true, segments: false };
  for (let i = 0; i < times; i++)
    attentionKernel.forward?.(context, { in: { q, k, v, segments }, attrs: { scale: 1 }, wants, ...more });
}

describe("attention", () => {
  it("goes to cuDNN where rows are one sequence", () => {
    const { context, calls, said } = notedCard();
    forward("bf16", 64, [1, 1, 1, 1, 5, 5, 5, 5], context);
    expect(calls).toEqual(["attention.forward"]);
    expect(said).toEqual(["dense"]);
  });

  it("makes the table of packed sequences once for all layers, and every time while a graph is recorded", () => {
    const layer = ["attention.forward", "turn_statistics"];
    const eager = notedCard();
    forward("f16", 64, runs, eager.context, 2);
    expect(eager.calls).toEqual(["segment_runs", ...layer, ...layer]);
    expect(eager.said).toEqual(["packed:4", "packed:4"]);
    const recorded = notedCard({ capturing: true });
    forward("f16", 64, runs, recorded.context, 2);
    expect(recorded.calls).toEqual(["segment_runs", ...layer, "segment_runs", ...layer]);
  });

  it("stays with the kernels of this package where ids come back, are unknown, or cuDNN is missing", () => {
    const cores = ["attention_ranges", "attention_cores_forward_bf16_128"];
    for (const ids of [[1, 2, 1, 2, 1, 1, 1, 1], undefined]) {
      const { context, calls } = notedCard();
      forward("bf16", 128, ids, context);
      expect(calls).toEqual(cores);
    }
    const { context, calls } = notedCard({ dry: false });
    forward("bf16", 128, [1, 1, 1, 1, 1, 1, 1, 1], context);
    expect(calls).toEqual(cores);
  });

  it("takes the kernels for any dtype and head size where tensor cores do not serve", () => {
    const { context, calls } = notedCard();
    forward("f32", 64, runs, context);
    forward("bf16", 20, runs, context);
    forward("f16", 256, [1, 2, 1, 2, 1, 2, 1, 2], context);
    expect(calls).toEqual(["attention_forward_f32_64", "attention_forward_bf16_256", "attention_forward_f16_256"]);
  });
});

describe("cachedAttention", () => {
  const decode = (s: number, capacity: number): string[] => {
    const { context, calls } = notedCard();
    const q = view("bf16", [1, s, 32, 128]);
    const cache = view("bf16", [1, capacity, 8, 128]);
    const inputs = { q, k: cache, v: cache, start: view("i32", [1]) };
    const wants = { q: false, k: false, v: false, start: false };
    cachedAttentionKernel.forward?.(context, { in: inputs, attrs: { scale: 1 }, wants, out: { y: q }, saved: {} });
    return calls;
  };

  it("cuts a long cache into parts, joins them, and takes prompts by tiles", () => {
    expect(decode(1, 4096)).toEqual(["cached_attention_part_bf16_16_4", "cached_attention_join_bf16"]);
    expect(decode(1, 60)).toEqual(["cached_attention_part_bf16_16_4"]);
    expect(decode(100, 4096)).toEqual(["cached_attention_cores_bf16_128"]);
  });

  it("covers the cache with parts, and fills the card", () => {
    for (const capacity of [1, 64, 65, 1000, 4096, 131072])
      for (const blocks of [1, 3, 8, 128, 4096]) {
        const { splits, chunk } = partsOf(capacity, blocks, 132);
        expect(splits * chunk).toBeGreaterThanOrEqual(capacity);
        expect((splits - 1) * chunk).toBeLessThan(capacity);
      }
    expect(partsOf(4096, 8, 132).splits * 8).toBeGreaterThan(132);
  });
});
