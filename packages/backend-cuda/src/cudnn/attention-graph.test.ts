import { describe, expect, it } from "vitest";
import { type AttentionShape, attentionBackwardGraph, attentionForwardGraph } from "./attention-graph.ts";
import { dense, type Graph, type GraphTensor } from "./graph.ts";

const shape: AttentionShape = {
  kind: "dense",
  batch: 2,
  heads: 6,
  kvHeads: 2,
  seq: 10,
  headDim: 16,
  dtype: "bf16",
  scale: 0.25,
};
const packed: AttentionShape = { ...shape, kind: "packed", batch: 8 };
const both = [attentionForwardGraph, attentionBackwardGraph];

const named = ({ tensors }: Graph): string[] => tensors.flatMap(({ name }) => name ?? []).sort();
const tensor = (graph: Graph, name: string): GraphTensor => graph.tensors.find((one) => one.name === name)!;
/** Everything that the operations name, and the offsets of that. */
function used({ operations }: Graph): Set<GraphTensor> {
  const all = new Set<GraphTensor>();
  for (const operation of operations)
    for (const one of Object.values(operation))
      if (typeof one === "object") for (const of of [one, one.offsets]) if (of) all.add(of);
  return all;
}

describe("graphs of attention", () => {
  it("have row-major strides unless told else", () => {
    expect(dense([2, 3, 4, 5])).toEqual([60, 20, 5, 1]);
  });

  it("name what they read and write", () => {
    expect(named(attentionForwardGraph(shape))).toEqual(["k", "lse", "q", "v", "y"]);
    const backward = ["delta", "dk", "dq", "dqSums", "dv", "g", "k", "lse", "q", "v", "y"];
    expect(named(attentionBackwardGraph(shape))).toEqual(backward);
    expect(named(attentionBackwardGraph({ ...shape, deterministic: true }))).not.toContain("dqSums");
  });

  it("hold no tensor that no operation uses, and make each virtual one once", () => {
    for (const graph of both.flatMap((make) => [make(shape), make(packed), make({ ...packed, kvHeads: 6 })])) {
      const all = used(graph);
      expect(graph.tensors.filter((one) => !all.has(one))).toEqual([]);
      const made = graph.operations.map(({ y }) => y);
      expect(new Set(made).size).toBe(made.length);
      expect(
        graph.tensors
          .filter(({ name, value }) => name === undefined && value === undefined)
          .every((t) => made.includes(t)),
      ).toBe(true);
    }
  });

  it("lay heads out token by token, and keys turned for the first product", () => {
    const graph = attentionForwardGraph(shape);
    expect(tensor(graph, "q").strides).toEqual([10 * 6 * 16, 16, 6 * 16, 1]);
    expect(tensor(graph, "k").dims).toEqual([2, 2, 16, 10]);
    expect(tensor(graph, "k").strides).toEqual([10 * 2 * 16, 16, 1, 2 * 16]);
    expect(tensor(graph, "lse").strides).toEqual([60, 10, 1, 1]);
  });

  it("read packed sequences through offsets and lengths", () => {
    for (const make of both) {
      const graph = make(packed);
      expect(named(graph)).toEqual(expect.arrayContaining(["kOffsets", "lengths", "qOffsets", "rowOffsets"]));
      expect(tensor(graph, "q").offsets).toBe(tensor(graph, "qOffsets"));
      expect(tensor(graph, "qOffsets").dims[0]).toBe(9);
      expect(tensor(graph, "lse").strides).toEqual([60, 1, 6, 1]);
    }
    const heads = tensor(attentionBackwardGraph(packed), "dkHeads");
    expect(heads.strides).toEqual([10 * 6 * 16, 16, 6 * 16, 1]);
  });
});
