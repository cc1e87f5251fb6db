import type { GraphBuilder } from "../graph.ts";
import type { WeightReader } from "../reader.ts";
import { type Layout, type LayoutContext, once, type Product } from "./layout.ts";

/** Adds a tensor as it is, rounded to a dtype. */
export function floatWeight(graph: GraphBuilder, reader: WeightReader, name: string, dtype: "f32" | "f16"): string[] {
  const tensors = [{ name, dtype, dims: reader.shape(name) }];
  return graph.weight({ tensors, data: () => reader.floats(name, dtype) });
}

/** Dense weights [out, in], as the source has them: Gemm reads them across, so nothing is transposed when a model is loaded. */
export function floatLayout({ graph, reader, activations }: LayoutContext): Layout {
  const weight = once((name) => floatWeight(graph, reader, name, activations));
  return {
    product(x, { weight: name, bias }: Product) {
      const inputs = [x, ...weight(name), ...(bias === undefined ? [] : weight(bias))];
      return graph.node("Gemm", inputs, { transB: 1 });
    },
    lookUp: (ids, name) => graph.node("Gather", [...weight(name), ids]),
  };
}

/** Adds a bias [out] to [token, out]. */
export function withBias({ graph, reader, activations }: LayoutContext, x: string, bias: string | undefined): string {
  return bias === undefined ? x : graph.node("Add", [x, ...floatWeight(graph, reader, bias, activations)]);
}

/** Embeddings in f16, at half the size and as good as exact, beside matrices in fewer bits. */
export function halfEmbedding({ graph, reader, activations }: LayoutContext): Layout["lookUp"] {
  return (ids, name) => {
    const [table] = floatWeight(graph, reader, name, "f16");
    const rows = graph.node("Gather", [table!, ids]);
    return activations === "f16" ? rows : graph.node("Cast", [rows], { to: 1 });
  };
}
