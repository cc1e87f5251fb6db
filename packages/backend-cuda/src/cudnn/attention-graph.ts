import { dataType, pointwise, reduction } from "./enums.ts";
import { type DataType, type Graph, GraphBuilder, type GraphTensor } from "./graph.ts";

/** What a plan for attention is made for. */
export interface AttentionShape {
  /** "dense": every row is one sequence. "packed": sequences of any lengths lie one behind another. */
  readonly kind: "dense" | "packed";
  /** rows, or places for sequences */
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** tokens of a row, or of the longest sequence there may be */
  readonly seq: number;
  readonly headDim: number;
  readonly dtype: "bf16" | "f16";
  readonly scale: number;
  /** of backward only */
  readonly deterministic?: boolean;
}

/** The tensors that both directions have. Memory is [tokens, heads, headDim]; cuDNN sees [batch, heads, seq, headDim]. */
function tensorsOf(graph: GraphBuilder, shape: AttentionShape) {
  const { kind, batch, heads, kvHeads, seq, headDim } = shape;
  const type: DataType = dataType[shape.dtype];
  const packed = kind === "packed";
  const made = new Map<string, GraphTensor>();
  // an offset that nothing uses must not reach cuDNN, so each is made when it is first asked for
  const offsets = (name: string): GraphTensor | undefined => {
    if (!packed) return undefined;
    const known = made.get(name) ?? graph.real(name, [batch + 1, 1, 1, 1], dataType.i64, [1, 1, 1, 1]);
    made.set(name, known);
    return known;
  };
  const lengths = packed ? graph.real("lengths", [batch, 1, 1, 1], dataType.i32, [1, 1, 1, 1]) : undefined;
  const strides = (count: number): [number, number, number, number] => [
    seq * count * headDim,
    headDim,
    count * headDim,
    1,
  ];
  const query = (name: string): GraphTensor =>
    graph.real(name, [batch, heads, seq, headDim], type, strides(heads), offsets("qOffsets"));
  const key = (name: string): GraphTensor =>
    graph.real(name, [batch, kvHeads, seq, headDim], type, strides(kvHeads), offsets("kOffsets"));
  const turnedKey = (name: string): GraphTensor => {
    const [b, h, s, d] = strides(kvHeads);
    return graph.real(name, [batch, kvHeads, headDim, seq], type, [b, h, d, s], offsets("kOffsets"));
  };
  /** a number to a token and head: our [batch, heads, seq] where dense, [tokens, heads] where packed */
  const statistic = (name: string): GraphTensor =>
    graph.real(
      name,
      [batch, heads, seq, 1],
      dataType.f32,
      packed ? [heads * seq, 1, heads, 1] : [heads * seq, seq, 1, 1],
      offsets("rowOffsets"),
    );
  return { type, packed, lengths, query, key, turnedKey, statistic };
}

const { f32, i32, bool } = dataType;

/** Scores, minus infinity behind the end of a sequence. */
function withinLength(graph: GraphBuilder, scores: GraphTensor, lengths: GraphTensor | undefined): GraphTensor {
  if (lengths === undefined) return scores;
  const inside = [2, 3].map((axis) => {
    const place = graph.pointwise(pointwise.index, scores, { axis, type: i32, precision: i32 });
    return graph.pointwise(pointwise.less, place, { b: lengths, type: bool, precision: bool });
  });
  const t = graph.pointwise(pointwise.and, inside[0]!, { b: inside[1]!, type: bool, precision: bool });
  return graph.pointwise(pointwise.select, scores, { b: graph.number(-Infinity), t });
}

/** Scores, minus infinity for later tokens. */
function causal(graph: GraphBuilder, scores: GraphTensor): GraphTensor {
  const [row, column] = [2, 3].map((axis) => graph.pointwise(pointwise.index, scores, { axis, type: i32 }));
  const t = graph.pointwise(pointwise.greaterOrEqual, row!, { b: column!, type: bool, precision: bool });
  return graph.pointwise(pointwise.select, scores, { b: graph.number(-Infinity), t });
}

/** q, k, v -> y, lse. With S = scale q k': e = exp(S - max S), lse = max S + log sum e, y = (e / sum e) v. */
export function attentionForwardGraph(shape: AttentionShape): Graph {
  const { batch, heads, seq, scale } = shape;
  const graph = new GraphBuilder();
  const { type, lengths, query, key, turnedKey, statistic } = tensorsOf(graph, shape);
  const [q, k, v, y, lse] = [query("q"), turnedKey("k"), key("v"), query("y"), statistic("lse")];
  const perRow = [batch, heads, seq, 1];
  const products = graph.matmul(q, k, graph.virtual([batch, heads, seq, seq]), { m: lengths, n: lengths });
  const scaled = graph.pointwise(pointwise.multiply, products, { b: graph.number(scale) });
  const scores = causal(graph, withinLength(graph, scaled, lengths));
  const top = graph.reduce(reduction.max, scores, graph.virtual(perRow));
  const e = graph.pointwise(pointwise.exp, graph.pointwise(pointwise.subtract, scores, { b: top }));
  const total = graph.reduce(reduction.add, e, graph.virtual(perRow));
  graph.pointwise(pointwise.add, top, { b: graph.pointwise(pointwise.log, total), y: lse });
  const probabilities = graph.pointwise(pointwise.divide, e, { b: total, type });
  graph.matmul(probabilities, v, y, { m: lengths, k: lengths });
  return graph;
}

/**
 * q, k, v, y, lse, g -> dq, dk, dv. With P = exp(S - lse): dv = P' g; dS = (g v' - sum g y) P scale; dk = dS' q; dq = dS k.
 * `delta`, and `dqSums` unless deterministic, are work areas in f32; `dkHeads` and `dvHeads`, where sequences are packed
 * and heads share keys, hold a gradient for every query head.
 */
export function attentionBackwardGraph(shape: AttentionShape): Graph {
  const { batch, heads, kvHeads, seq, headDim, scale, deterministic = false } = shape;
  const graph = new GraphBuilder();
  const { type, packed, lengths, query, key, turnedKey, statistic } = tensorsOf(graph, shape);
  const [q, k, v, y, g] = [query("q"), turnedKey("k"), turnedKey("v"), query("y"), query("g")];
  const [lse, dq, dk, dv] = [statistic("lse"), query("dq"), key("dk"), key("dv")];
  const square = [batch, heads, seq, seq];
  const perRow = [batch, heads, seq, 1];
  const factor = graph.number(scale);

  const gy = graph.virtual([batch, heads, seq, headDim], f32, [
    heads * seq * headDim,
    seq * headDim,
    heads * headDim,
    1,
  ]);
  const rowSums = graph.reduce(
    reduction.add,
    graph.pointwise(pointwise.multiply, g, { b: y, y: gy }),
    graph.virtual(perRow),
  );
  const delta = statistic("delta");
  graph.pointwise(pointwise.multiply, rowSums, { b: graph.number(1), y: delta });

  const products = graph.matmul(q, k, graph.virtual(square), { m: lengths, n: lengths });
  const scores = withinLength(graph, graph.pointwise(pointwise.multiply, products, { b: factor }), lengths);
  const logs = causal(graph, graph.pointwise(pointwise.subtract, scores, { b: lse }));
  const probabilities = graph.pointwise(pointwise.exp, logs);

  /** turned' · rows, the query heads of a group added up into `sum` */
  const overQueries = (weights: GraphTensor, rows: GraphTensor, name: string, sum: GraphTensor): void => {
    const turned = graph.reshape(weights, graph.virtual(square, type, [heads * seq * seq, seq * seq, 1, seq]));
    const along = { m: lengths, k: lengths };
    const group = heads / kvHeads;
    if (group === 1) {
      graph.matmul(turned, rows, sum, along);
      return;
    }
    const dims = [batch, heads, seq, headDim];
    const [b = 0, h = 0, s = 0] = sum.strides;
    const all = packed
      ? graph.real(name, dims, type, [b * group, h, s * group, 1], sum.offsets)
      : graph.virtual(dims, type);
    graph.reduce(reduction.add, graph.matmul(turned, rows, all, along), sum);
  };
  overQueries(probabilities, g, "dvHeads", dv);
  const gv = graph.matmul(g, v, graph.virtual(square), { m: lengths, n: lengths });
  const centred = graph.pointwise(pointwise.subtract, gv, { b: delta });
  const ds = graph.pointwise(pointwise.multiply, graph.pointwise(pointwise.multiply, centred, { b: probabilities }), {
    b: factor,
  });
  overQueries(ds, q, "dkHeads", dk);

  const [b = 0, h = 0, d = 0, s = 0] = k.strides;
  const keys = graph.reshape(k, graph.virtual([batch, kvHeads, seq, headDim], f32, [b, h, s, d], k.offsets));
  const along = { m: lengths, k: lengths };
  if (deterministic) {
    graph.matmul(ds, keys, dq, along);
    return graph;
  }
  const dims = [batch, heads, seq, headDim];
  const sums = packed ? graph.real("dqSums", dims, f32, dq.strides, dq.offsets) : graph.real("dqSums", dims, f32);
  graph.pointwise(pointwise.identity, graph.matmul(ds, keys, sums, along), { y: dq });
  return graph;
}
