import type { GraphBuilder } from "../graph.ts";
import type { WeightReader } from "../reader.ts";

/** A product with a weight of the source [out, in], and the bias that is added where there is one. */
export interface Product {
  readonly weight: string;
  readonly bias: string | undefined;
}

/** How a type of file stores matrices, and with which operations it multiplies by them. */
export interface Layout {
  /** [token, in] -> [token, out], in the dtype of the activations */
  product(x: string, product: Product): string;
  /** rows of a weight [vocab, hidden] by ids [token] -> [token, hidden] */
  lookUp(ids: string, weight: string): string;
}

/** What a layout works with. `activations` is the dtype between its operations. */
export interface LayoutContext {
  readonly graph: GraphBuilder;
  readonly reader: WeightReader;
  readonly activations: "f32" | "f16";
}

/** What `add` puts into the graph for a name, once: a tied head shares the embedding. */
export function once(add: (name: string) => readonly string[]): (name: string) => readonly string[] {
  const known = new Map<string, readonly string[]>();
  return (name) => {
    const found = known.get(name) ?? add(name);
    known.set(name, found);
    return found;
  };
}
