import { describe, expect, it } from "vitest";
import { type OnnxDecoder, openOnnx } from "./onnx-decoder.ts";
import type { OnnxRuntime, OrtSession, OrtTensor } from "./onnx-runtime.ts";

const vocab = 12;
interface Fed {
  readonly ids: number[];
  readonly mask: number[];
  readonly positions: number[];
  readonly past: readonly number[];
}

/** A runtime whose model says that the next token is the last one and 1; it keeps what it was fed. The real one: onnx.heavy.test.ts. */
function runtime(logitsShape: readonly (number | string)[] = ["batch_size", "sequence_length", vocab]) {
  const fed: Fed[] = [];
  let released = 0;
  class Tensor implements OrtTensor {
    readonly type: string;
    readonly data: unknown;
    readonly dims: readonly number[];
    constructor(type: string, data: unknown, dims: readonly number[]) {
      this.type = type;
      this.data = data;
      this.dims = dims;
    }
  }
  const numbers = (tensor: OrtTensor | undefined): number[] =>
    tensor?.data instanceof BigInt64Array ? Array.from(tensor.data, Number) : [];
  const session: OrtSession = {
    inputMetadata: [
      { name: "input_ids", type: "int64", shape: ["batch_size", "sequence_length"] },
      { name: "past_key_values.0.key", type: "float16", shape: ["batch_size", 2, "past_sequence_length", 4] },
    ],
    outputMetadata: [{ name: "logits", type: "float32", shape: logitsShape }],
    run: async (feeds) => {
      const ids = numbers(feeds.input_ids);
      const past = feeds["past_key_values.0.key"]!.dims;
      fed.push({ ids, mask: numbers(feeds.attention_mask), positions: numbers(feeds.position_ids), past });
      const [batch = 0, seq = 0] = feeds.input_ids!.dims;
      const logits = new Float32Array(batch * seq * vocab);
      for (const [i, id] of ids.entries()) logits[i * vocab + ((id + 1) % vocab)] = 1;
      const total = (past[2] ?? 0) + seq;
      return {
        logits: new Tensor("float32", logits, [batch, seq, vocab]),
        "present.0.key": new Tensor("float16", new Uint16Array(0), [batch, 2, total, 4]),
      };
    },
    release: async () => {
      released++;
    },
  };
  const ort: OnnxRuntime = { Tensor, InferenceSession: { create: async () => session } };
  return { ort, fed, released: () => released };
}

describe("openOnnx", () => {
  it("pads rows on the left, counts positions from their first token, and goes on over the cache", async () => {
    const { ort, fed } = runtime();
    await using decoder = await openOnnx("model.onnx", ort);
    const { dims } = await decoder.start([[5, 6, 7], [9]]);
    expect(dims).toEqual([2, 3, vocab]);
    await decoder.next([[8], [10]]);
    expect(fed).toEqual([
      { ids: [5, 6, 7, 0, 0, 9], mask: [1, 1, 1, 0, 0, 1], positions: [0, 1, 2, 1, 1, 0], past: [2, 2, 0, 4] },
      { ids: [8, 10], mask: [1, 1, 1, 1, 0, 0, 1, 1], positions: [3, 1], past: [2, 2, 3, 4] },
    ]);
  });

  it("answers with the likeliest tokens, each answer up to its stop id", async () => {
    const { ort, fed } = runtime();
    const decoder = await openOnnx("model.onnx", ort);
    expect(await decoder.greedy([[1], [4, 5]], { maxNewTokens: 4 })).toEqual([
      [2, 3, 4, 5],
      [6, 7, 8, 9],
    ]);
    fed.length = 0;
    expect(await decoder.greedy([[1], [4, 5]], { maxNewTokens: 50, stopIds: [4, 8] })).toEqual([
      [2, 3],
      [6, 7],
    ]);
    expect(fed).toHaveLength(3);
  });

  it("gives the logits of a text some rows at a time", async () => {
    const { ort, fed } = runtime();
    const decoder = await openOnnx("model.onnx", ort);
    const lengths: number[] = [];
    for await (const { length } of decoder.logitRows([1, 2, 3, 4, 5], 2)) lengths.push(length / vocab);
    expect(lengths).toEqual([2, 2, 1]);
    expect(fed.map(({ ids, positions }) => [ids, positions])).toEqual([
      [
        [1, 2],
        [0, 1],
      ],
      [
        [3, 4],
        [2, 3],
      ],
      [[5], [4]],
    ]);
  });

  it("refuses what is no decoder, and rows that do not fit", async () => {
    const { ort, released } = runtime(["batch_size", 10]);
    await expect(openOnnx("other.onnx", ort)).rejects.toMatchObject({ code: "format", message: /other\.onnx/ });
    expect(released()).toBe(1);
    const { ort: other, fed } = runtime();
    const decoder: OnnxDecoder = await openOnnx("model.onnx", other);
    await expect(decoder.next([[1]])).rejects.toMatchObject({ code: "input" });
    await expect(decoder.start([])).rejects.toMatchObject({ code: "input" });
    await expect(decoder.start([[1], []])).rejects.toMatchObject({ code: "input" });
    await expect(decoder.start([[vocab]])).rejects.toMatchObject({ code: "data" });
    await decoder.start([[1], [2]]);
    await expect(decoder.next([[1]])).rejects.toMatchObject({ code: "input" });
    await expect(decoder.next([[1], [2, 3]])).rejects.toMatchObject({ code: "input" });
    await expect(decoder.next([[-1], [2]])).rejects.toMatchObject({ code: "data" });
    await decoder.next([[3], [4]]);
    // what was refused has left no trace
    expect(fed.at(-1)).toEqual({ ids: [3, 4], mask: [1, 1, 1, 1], positions: [1, 1], past: [2, 2, 1, 4] });
  });
});
