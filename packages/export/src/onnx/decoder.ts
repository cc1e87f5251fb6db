import { hasBias, type LlamaConfig, type Projection } from "@ft/models";
import { inverseFrequencies } from "@ft/nn";
import type { GraphBuilder } from "./graph.ts";
import { floatWeight } from "./layouts/float.ts";
import type { Layout, LayoutContext } from "./layouts/layout.ts";
import type { OnnxValue } from "./proto.ts";

const embedding = "model.embed_tokens.weight";

/** Values that every layer uses. */
interface Shared {
  readonly queryShape: string;
  readonly keyValueShape: string;
  readonly queryTurn: Turn;
  readonly keyTurn: Turn;
  /** [batch, 1, group × seq, total]: 0 where a query may look, the lowest f32 where not */
  readonly bias: string;
}

/** Cosines and sines of the rotary angles, [batch, 1, seq, headDim / 2]. */
interface Turn {
  readonly cos: string;
  readonly sin: string;
}

/**
 * A Llama decoder over a key/value cache in the operations of ONNX, in the layout that transformers.js feeds: input_ids,
 * attention_mask, position_ids and past_key_values.{i}.{key,value} to logits and present.{i}.{key,value}. Rows are padded on the left
 * by attention_mask. Sums of squares, angles, scores and softmax are f32 whatever the activations are, and so are the logits.
 */
export class Decoder {
  readonly inputs: OnnxValue[] = [];
  readonly outputs: OnnxValue[] = [];
  readonly #config: LlamaConfig;
  readonly #context: LayoutContext;
  readonly #graph: GraphBuilder;
  readonly #layout: Layout;

  constructor(config: LlamaConfig, context: LayoutContext, layout: Layout) {
    this.#config = config;
    this.#context = context;
    this.#graph = context.graph;
    this.#layout = layout;
  }

  build(): void {
    const graph = this.#graph;
    const { hiddenSize, vocabSize, layers, tieWordEmbeddings } = this.#config;
    this.#input("input_ids", "i64", ["batch_size", "sequence_length"]);
    this.#input("attention_mask", "i64", ["batch_size", "total_sequence_length"]);
    this.#input("position_ids", "i64", ["batch_size", "sequence_length"]);
    const grid = graph.node("Shape", ["input_ids"]);
    this.#output("logits", "f32", ["batch_size", "sequence_length", vocabSize]);
    const ids = graph.node("Reshape", ["input_ids", graph.integers([-1])]);
    let x = graph.within("embed", () => this.#layout.lookUp(ids, embedding));
    x = graph.node("Reshape", [x, graph.integers([-1, hiddenSize])]);
    const shared = this.#shared(grid);
    for (let layer = 0; layer < layers; layer++)
      x = graph.within(`layers.${layer}`, () => this.#block(x, layer, shared));
    x = graph.within("norm", () => this.#norm(x, "model.norm.weight"));
    const head = tieWordEmbeddings ? embedding : "lm_head.weight";
    const scores = graph.within("head", () =>
      this.#widened(this.#layout.product(x, { weight: head, bias: undefined })),
    );
    const shape = graph.node("Concat", [grid, graph.integers([vocabSize])], { axis: 0 });
    graph.node("Reshape", [scores, shape], {}, "logits");
  }

  /** One pre-norm transformer block over x [token, hidden]. */
  #block(x: string, layer: number, shared: Shared): string {
    const graph = this.#graph;
    const at = `model.layers.${layer}`;
    const h = graph.within("input_norm", () => this.#norm(x, `${at}.input_layernorm.weight`));
    const y = graph.node("Add", [x, graph.within("attention", () => this.#attention(h, layer, shared))]);
    const n = graph.within("post_attention_norm", () => this.#norm(y, `${at}.post_attention_layernorm.weight`));
    return graph.within("mlp", () => {
      const gate = this.#product(n, layer, "mlp.gate_proj");
      const silu = graph.node("Mul", [gate, graph.node("Sigmoid", [gate])]);
      const gated = graph.node("Mul", [silu, this.#product(n, layer, "mlp.up_proj")]);
      return graph.node("Add", [y, this.#product(gated, layer, "mlp.down_proj")]);
    });
  }

  #attention(h: string, layer: number, shared: Shared): string {
    const graph = this.#graph;
    const { heads, kvHeads, headDim } = this.#config;
    const { activations } = this.#context;
    const split = (path: Projection, shape: string): string => {
      const grid = graph.node("Reshape", [this.#product(h, layer, path), shape]);
      return graph.node("Transpose", [grid], { perm: [0, 2, 1, 3] });
    };
    const cached = (value: string, kind: "key" | "value"): string => {
      const [past, present] = [`past_key_values.${layer}.${kind}`, `present.${layer}.${kind}`];
      this.#input(past, activations, ["batch_size", kvHeads, "past_sequence_length", headDim]);
      this.#output(present, activations, ["batch_size", kvHeads, "total_sequence_length", headDim]);
      return graph.node("Concat", [past, value], { axis: 2 }, present);
    };
    const q = this.#turned(split("self_attn.q_proj", shared.queryShape), shared.queryTurn);
    const k = cached(this.#turned(split("self_attn.k_proj", shared.keyValueShape), shared.keyTurn), "key");
    const v = cached(split("self_attn.v_proj", shared.keyValueShape), "value");
    // the queries of heads that share a key head stand below each other: one product for all of them, nothing is repeated
    const grouped = graph.node("Reshape", [q, graph.integers([0, kvHeads, -1, headDim])]);
    const scores = this.#widened(graph.node("MatMul", [grouped, graph.node("Transpose", [k], { perm: [0, 1, 3, 2] })]));
    const weights = graph.node("Softmax", [graph.node("Add", [scores, shared.bias])], { axis: -1 });
    const mixed = graph.node("MatMul", [this.#narrowed(weights), v]);
    const perHead = graph.node("Reshape", [mixed, graph.integers([0, heads, -1, headDim])]);
    const perToken = graph.node("Transpose", [perHead], { perm: [0, 2, 1, 3] });
    return this.#product(
      graph.node("Reshape", [perToken, graph.integers([-1, heads * headDim])]),
      layer,
      "self_attn.o_proj",
    );
  }

  #product(x: string, layer: number, path: Projection): string {
    const name = `model.layers.${layer}.${path}`;
    const bias = hasBias(this.#config, path) ? `${name}.bias` : undefined;
    return this.#layout.product(x, { weight: `${name}.weight`, bias });
  }

  /** RMSNorm of x [token, hidden], in f32: squares of large activations are beyond f16. */
  #norm(x: string, weight: string): string {
    const graph = this.#graph;
    const wide = this.#widened(x);
    const squares = graph.node("Pow", [wide, graph.floats("two", 2)]);
    const mean = graph.node("ReduceMean", [squares], { axes: [-1], keepdims: 1 });
    const sum = graph.node("Add", [mean, graph.floats("norm_epsilon", this.#config.rmsNormEps)]);
    const normed = graph.node("Div", [wide, graph.node("Sqrt", [sum])]);
    const [scale] = floatWeight(graph, this.#context.reader, weight, "f32");
    return this.#narrowed(graph.node("Mul", [normed, scale!]));
  }

  /** Rotary embedding of x [batch, head, seq, headDim], halves rotated as in Hugging Face's Llama. */
  #turned(x: string, { cos, sin }: Turn): string {
    const graph = this.#graph;
    const [a, b] = graph.split("Split", [x], 2, { axis: -1 });
    const product = (half: string, by: string): string => graph.node("Mul", [half, by]);
    const first = graph.node("Sub", [product(a!, cos), product(b!, sin)]);
    const second = graph.node("Add", [product(b!, cos), product(a!, sin)]);
    return graph.node("Concat", [first, second], { axis: -1 });
  }

  /** @param grid [batch, seq] as a shape */
  #shared(grid: string): Shared {
    const graph = this.#graph;
    const { heads, kvHeads, headDim, ropeTheta: theta, ropeScaling: scaling } = this.#config;
    const shapeOf = (count: number): string =>
      graph.node("Concat", [grid, graph.integers([count, headDim])], { axis: 0 });
    const [queryShape, keyValueShape] = [shapeOf(heads), shapeOf(kvHeads)];
    const keyTurn = graph.within("rope", () => {
      const positions = graph.node("Cast", ["position_ids"], { to: 1 });
      const column = graph.node("Unsqueeze", [positions, graph.integers([1, 3])]);
      const frequencies = graph.floats("inverse_frequencies", inverseFrequencies({ theta, headDim, scaling }));
      const angle = graph.node("Mul", [column, frequencies]);
      return { cos: graph.node("Cos", [angle]), sin: graph.node("Sin", [angle]) };
    });
    // turning is linear: the 1/√headDim of the scores goes along with it, once instead of in every layer
    const queryTurn = graph.within("rope", () => {
      const scaled = (x: string): string => graph.node("Mul", [x, graph.floats("score_scale", headDim ** -0.5)]);
      return { cos: scaled(keyTurn.cos), sin: scaled(keyTurn.sin) };
    });
    const narrow = ({ cos, sin }: Turn): Turn => ({ cos: this.#narrowed(cos), sin: this.#narrowed(sin) });
    const bias = graph.within("mask", () => this.#bias(grid, heads / kvHeads));
    return { queryShape, keyValueShape, queryTurn: narrow(queryTurn), keyTurn: narrow(keyTurn), bias };
  }

  #bias(grid: string, group: number): string {
    const graph = this.#graph;
    const size = (shape: string, axis: number): string => graph.node("Gather", [shape, graph.integers(axis)]);
    const total = size(graph.node("Shape", ["attention_mask"]), 1);
    const past = graph.node("Sub", [total, size(grid, 1)]);
    const range = (from: string): string => graph.node("Range", [from, total, graph.integers(1)]);
    const queries = graph.node("Unsqueeze", [range(past), graph.integers([1])]);
    const causal = graph.node("LessOrEqual", [range(graph.integers(0)), queries]);
    const real = graph.node("Cast", ["attention_mask"], { to: 9 });
    const allowed = graph.node("And", [graph.node("Unsqueeze", [real, graph.integers([1, 2])]), causal]);
    // the lowest number instead of infinity: a padded query looks at nothing, and must not become NaN
    const lowest = graph.floats("lowest", -3.4028234663852886e38);
    const bias = graph.node("Where", [allowed, graph.floats("zero", 0), lowest]);
    return graph.node("Tile", [bias, graph.integers([1, 1, group, 1])]);
  }

  #widened(x: string): string {
    return this.#context.activations === "f32" ? x : this.#graph.node("Cast", [x], { to: 1 });
  }
  #narrowed(x: string): string {
    return this.#context.activations === "f32" ? x : this.#graph.node("Cast", [x], { to: 10 });
  }
  #input(name: string, dtype: OnnxValue["dtype"], dims: OnnxValue["dims"]): void {
    this.inputs.push({ name, dtype, dims });
  }
  #output(name: string, dtype: OnnxValue["dtype"], dims: OnnxValue["dims"]): void {
    this.outputs.push({ name, dtype, dims });
  }
}
