import type { View } from "../../backend.ts";
import { dim, showShape } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import type { P } from "../../prims.ts";

/** Sizes of grouped-query attention: batch, queries, keys, heads, key/value heads, heads per group, head size. */
export interface AttentionSizes {
  readonly b: number;
  readonly s: number;
  readonly t: number;
  readonly h: number;
  readonly hk: number;
  readonly g: number;
  readonly d: number;
}

type Shaped = { readonly shape: readonly number[] };

/** Reads the sizes off q [batch, s, heads, d] and k, v [batch, t, kvHeads, d]; throws where they do not fit together. */
export function attentionSizes(op: string, q: Shaped, k: Shaped, v: Shaped): AttentionSizes {
  const [b = 0, s = 0, h = 0, d = 0] = q.shape;
  const [bk = 0, t = 0, hk = 0, dk = 0] = k.shape;
  const fits =
    q.shape.length === 4 && k.shape.length === 4 && b === bk && d === dk && showShape(k.shape) === showShape(v.shape);
  if (!fits || hk === 0 || h % hk !== 0)
    throw new FtError(
      "shape",
      `[${op}] q ${showShape(q.shape)}, k ${showShape(k.shape)}, v ${showShape(v.shape)}`,
      "q is [batch, seq, heads, headDim], k and v [batch, seq, kvHeads, headDim], heads a multiple of kvHeads",
    );
  return { b, s, t, h, hk, g: h / hk, d };
}

/** [b, n, heads, d] -> [b·hk, g·n, d]: the query heads of one group share a matrix, so GQA repeats nothing and dK sums itself. */
export function grouped(p: P, x: View, { b, hk, d }: AttentionSizes): View {
  const n = dim(x, 1);
  const g = dim(x, 2) / hk;
  return p.reshape(p.permute(p.reshape(x, [b, n, hk, g, d]), [0, 2, 3, 1, 4]), [b * hk, g * n, d]);
}

/** The inverse of grouped, for `n` rows per head. */
export function ungrouped(p: P, x: View, { b, hk, d }: AttentionSizes, n: number): View {
  const g = dim(x, 1) / n;
  return p.reshape(p.permute(p.reshape(x, [b, hk, g, n, d]), [0, 3, 1, 2, 4]), [b, n, hk * g, d]);
}
