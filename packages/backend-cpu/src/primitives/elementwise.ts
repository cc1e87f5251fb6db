import type { BinaryKind, CompareKind, PrimitiveKernels, UnaryKind } from "@ft/tensor";
import type { CpuBuffer, CpuView } from "../buffer.ts";
import { erf } from "./erf.ts";
import { broadcastStrides, eachRun } from "./runs.ts";
import { immediate, narrow, type Wide, wide, wideOut } from "./wide.ts";

type Elementwise = Pick<PrimitiveKernels<CpuBuffer>, "fill" | "iota" | "unary" | "binary" | "compare" | "where">;

/** Arithmetic runs in double precision and is rounded by the store: for + - * / and sqrt that equals f32 arithmetic. */
export const elementwise: Elementwise = {
  fill: (_inputs, { value }, out) => {
    const y = wideOut(out);
    y.fill(out.dtype === "bool" ? Number(value !== 0) : value);
    narrow(y, out);
  },
  iota: (_inputs, _attrs, out) => {
    const y = wideOut(out);
    for (let i = 0; i < y.length; i++) y[i] = i;
    narrow(y, out);
  },
  unary: ({ x }, { kind }, out) => {
    const y = wideOut(out);
    unaryLoops[kind](wide(x), y);
    narrow(y, out);
  },
  binary: ({ a, b }, { kind }, out) => {
    const y = wideOut(out);
    const loop = binaryLoops[kind];
    pairs(a, b, out, (p, pi, ps, q, qi, qs, o, n) => loop(p, pi, ps, q, qi, qs, y, o, n));
    narrow(y, out);
  },
  compare: ({ a, b }, { kind }, out) => {
    const y = out.storage.buffer;
    const loop = compareLoops[kind];
    pairs(a, b, out, (p, pi, ps, q, qi, qs, o, n) => loop(p, pi, ps, q, qi, qs, y, o, n));
  },
  where: ({ test, a, b }, _attrs, out) => {
    const y = wideOut(out);
    const t = test.storage.buffer;
    const p = wide(a);
    const q = typeof b === "number" ? immediate(b, p) : wide(b);
    const strides = [test.shape, a.shape, typeof b === "number" ? [] : b.shape].map((s) =>
      broadcastStrides(s, out.shape),
    );
    eachRun(out.shape, strides, [0, 0, 0], (o, n, at, step) => {
      let [ti, pi, qi] = [at[0]!, at[1]!, at[2]!];
      const [ts, ps, qs] = [step[0]!, step[1]!, step[2]!];
      for (let i = o; i < o + n; i++) {
        y[i] = t[ti] !== 0 ? p[pi]! : q[qi]!;
        ti += ts;
        pi += ps;
        qi += qs;
      }
    });
    narrow(y, out);
  },
};

type PairRun = (p: Wide, pi: number, ps: number, q: Wide, qi: number, qs: number, o: number, n: number) => void;

/** Broadcasts two operands over `out`, run by run. */
function pairs(a: CpuView, b: CpuView | number, out: CpuView, run: PairRun): void {
  const p = wide(a);
  const q = typeof b === "number" ? immediate(b, p) : wide(b);
  const strides = [
    broadcastStrides(a.shape, out.shape),
    broadcastStrides(typeof b === "number" ? [] : b.shape, out.shape),
  ];
  eachRun(out.shape, strides, [0, 0], (o, n, at, step) => run(p, at[0]!, step[0]!, q, at[1]!, step[1]!, o, n));
}

type PairLoop<Y> = (
  p: Wide,
  pi: number,
  ps: number,
  q: Wide,
  qi: number,
  qs: number,
  y: Y,
  o: number,
  n: number,
) => void;

// One loop per kind, written out: a function per element costs ten times the arithmetic.
const binaryLoops: { readonly [K in BinaryKind]: PairLoop<Wide> } = {
  add: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = p[pi]! + q[qi]!;
  },
  sub: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = p[pi]! - q[qi]!;
  },
  mul: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = p[pi]! * q[qi]!;
  },
  div: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = p[pi]! / q[qi]!;
  },
  min: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = Math.min(p[pi]!, q[qi]!);
  },
  max: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = Math.max(p[pi]!, q[qi]!);
  },
};

const compareLoops: { readonly [K in CompareKind]: PairLoop<CpuBuffer> } = {
  lt: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = p[pi]! < q[qi]! ? 1 : 0;
  },
  le: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = p[pi]! <= q[qi]! ? 1 : 0;
  },
  eq: (p, pi, ps, q, qi, qs, y, o, n) => {
    for (let i = o; i < o + n; i++, pi += ps, qi += qs) y[i] = p[pi]! === q[qi]! ? 1 : 0;
  },
};

const unaryLoops: { readonly [K in UnaryKind]: (x: Wide, y: Wide) => void } = {
  neg: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = -x[i]!;
  },
  abs: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = Math.abs(x[i]!);
  },
  floor: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = Math.floor(x[i]!);
  },
  exp: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = Math.exp(x[i]!);
  },
  log: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = Math.log(x[i]!);
  },
  sqrt: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = Math.sqrt(x[i]!);
  },
  sin: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = Math.sin(x[i]!);
  },
  cos: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = Math.cos(x[i]!);
  },
  tanh: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = Math.tanh(x[i]!);
  },
  erf: (x, y) => {
    for (let i = 0; i < y.length; i++) y[i] = erf(x[i]!);
  },
};
