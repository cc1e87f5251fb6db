import { wideOf } from "@ft/tensor";
import {
  attention,
  attentionOp,
  cachedAttention,
  cachedAttentionOp,
  rope,
  ropeOp,
  updateCache,
  updateCacheOp,
} from "@ft/tensor/ops";
import type { HostTensor } from "../host.ts";
import type { Random } from "../random.ts";
import { type CaseSize, integers, normals, type OpCase } from "./op-case.ts";

const tokens = ["batch", "seq"];
const heads = [...tokens, "heads", "headDim"];
const kvHeads = [...tokens, "kvHeads", "headDim"];
const cached = ["batch", "capacity", "kvHeads", "headDim"];

/** Rows of packed segments: 1 1 1 2 2 3 0 0, padding last. */
function packed(random: Random, b: number, s: number): HostTensor {
  const values: number[] = [];
  for (let row = 0; row < b; row++) {
    const end = random.chance(0.5) ? s : random.int(0, s);
    let segment = 1;
    for (let i = 0; i < s; i++) {
      if (i > 0 && random.chance(2 / s)) segment++;
      values.push(i < end ? segment : 0);
    }
  }
  return { dtype: "i32", axes: tokens, shape: [b, s], values };
}

function sizes(random: Random, of: CaseSize): { b: number; s: number; h: number; hk: number; d: number } {
  const hk = random.int(1, 3);
  const [b, h] = [random.int(1, 3), hk * random.int(1, 3)];
  return of === "small"
    ? { b, s: random.int(1, 7), h, hk, d: 2 * random.int(1, 3) }
    : { b, s: random.int(65, 100), h, hk, d: random.pick([16, 20, 64]) };
}

/** Ops that tokens use to look at one another. */
export const attentionCases: readonly OpCase[] = [
  {
    name: "attention",
    op: attentionOp,
    make(random, dtype, of) {
      const { b, s, h, hk, d } = sizes(random, of);
      const scale = 1 / Math.sqrt(d);
      return {
        inputs: {
          q: normals(random, dtype, heads, [b, s, h, d]),
          k: normals(random, dtype, kvHeads, [b, s, hk, d]),
          v: normals(random, dtype, kvHeads, [b, s, hk, d]),
          segments: packed(random, b, s),
        },
        differentiable: ["q", "k", "v"],
        axes: { y: heads },
        call: ({ q, k, v, segments }) => ({ y: attention(q!, k!, v!, segments!, { scale }) }),
      };
    },
  },
  {
    name: "attention: one tensor as q, k and v",
    op: attentionOp,
    make(random, dtype, of) {
      const { b, s, h, d } = sizes(random, of);
      return {
        inputs: { x: normals(random, dtype, heads, [b, s, h, d]), segments: packed(random, b, s) },
        differentiable: ["x"],
        axes: { y: heads },
        call: ({ x, segments }) => ({ y: attention(x!, x!, x!, segments!, { scale: 1 / Math.sqrt(d) }) }),
      };
    },
  },
  {
    name: "rope",
    op: ropeOp,
    make(random, dtype, of) {
      const { b, s, h, d } = sizes(random, of);
      const frequencies = random.list(d / 2, (i) => 10_000 ** ((-2 * i) / d));
      return {
        inputs: {
          x: normals(random, dtype, heads, [b, s, h, d]),
          positions: integers(random, tokens, [b, s], 0, 300),
          inverseFrequencies: { dtype: wideOf(dtype), axes: ["half"], shape: [d / 2], values: frequencies },
        },
        differentiable: ["x"],
        axes: { y: heads },
        call: ({ x, positions, inverseFrequencies }) => ({ y: rope(x!, positions!, inverseFrequencies!) }),
      };
    },
  },
  {
    name: "cachedAttention",
    op: cachedAttentionOp,
    make(random, dtype, of) {
      const { b, s, h, hk, d } = sizes(random, of);
      const capacity = s + random.int(0, 9);
      return {
        inputs: {
          q: normals(random, dtype, heads, [b, s, h, d]),
          k: normals(random, dtype, cached, [b, capacity, hk, d]),
          v: normals(random, dtype, cached, [b, capacity, hk, d]),
          start: integers(random, ["batch"], [b], 0, capacity - s),
        },
        differentiable: [],
        axes: { y: heads },
        call: ({ q, k, v, start }) => ({ y: cachedAttention(q!, k!, v!, start!, { scale: 1 / Math.sqrt(d) }) }),
      };
    },
  },
  {
    name: "updateCache",
    op: updateCacheOp,
    make(random, dtype, of) {
      const { b, s, hk, d } = sizes(random, of);
      const capacity = s + random.int(0, 9);
      return {
        inputs: {
          cache: normals(random, dtype, cached, [b, capacity, hk, d]),
          rows: normals(random, dtype, kvHeads, [b, s, hk, d]),
          start: integers(random, ["batch"], [b], 0, capacity - s),
        },
        differentiable: [],
        consumes: ["cache"],
        axes: { y: cached },
        call: ({ cache, rows, start }) => ({ y: updateCache(cache!, rows!, start!) }),
      };
    },
  },
];
