import { type DType, isFloat, type Primitives, philox, type Spec, type View } from "@ft/tensor";
import { roundTo } from "../host.ts";
import type { Random } from "../random.ts";
import * as oracle from "./oracle.ts";

export interface HostView extends oracle.Plain {
  readonly dtype: DType;
}

/** The inputs of a primitive with host values in the place of views. */
type Hosted<T> = {
  readonly [K in keyof T]: T[K] extends readonly View[]
    ? readonly HostView[]
    : T[K] extends View
      ? HostView
      : HostView | number;
};

export interface PrimitiveCall<K extends keyof Primitives = keyof Primitives> {
  readonly name: K;
  readonly inputs: Hosted<Primitives[K]["in"]>;
  readonly attrs: Primitives[K]["attrs"];
  readonly out: Spec;
  readonly want: ArrayLike<number>;
  /** whether the result is exact: values are only moved, counted or compared */
  readonly exact: boolean;
  /** the input whose buffer `out` may be, where the contract allows it */
  readonly alias?: string;
}

/** How to make a random call of one primitive in a dtype. */
export interface PrimitiveCase {
  readonly name: keyof Primitives;
  /** "binary div" */
  readonly title: string;
  serves(dtype: DType): boolean;
  make(random: Random, dtype: DType): PrimitiveCall;
}

const any = (): boolean => true;
const numeric = (dtype: DType): boolean => dtype !== "bool";

/** Sizes of 1 to 5, now and then a larger one, up to `most` axes. */
function shapeOf(random: Random, least = 0, most = 4): number[] {
  return random.list(random.int(least, most), () => (random.chance(0.1) ? random.int(30, 40) : random.int(1, 5)));
}

function values(random: Random, dtype: DType, shape: readonly number[], positive = false): HostView {
  const count = shape.reduce((n, d) => n * d, 1);
  const draw = (): number => {
    if (dtype === "bool") return random.int(0, 1);
    if (!isFloat(dtype)) return dtype === "u8" || positive ? random.int(1, 9) : random.int(-9, 9);
    return positive ? 0.1 + 3 * random.uniform() : 2 * random.normal();
  };
  return { dtype, shape, values: roundTo(dtype, random.list(count, draw)) };
}

/** Either of two operands may be stretched, or the second be a number. */
function pair(random: Random, dtype: DType, positive = false): { a: HostView; b: HostView | number } {
  const shape = shapeOf(random);
  const shrink = (): number[] => shape.map((d) => (random.chance(0.3) ? 1 : d)).slice(random.chance(0.2) ? 1 : 0);
  if (random.chance(0.3)) {
    const immediate = values(random, dtype, [1], positive).values[0]!;
    return { a: values(random, dtype, shape), b: immediate };
  }
  const [a, b] = random.chance(0.4) ? [shape, shape] : [shrink(), shrink()];
  return { a: values(random, dtype, a), b: values(random, dtype, b, positive) };
}

function plain(x: HostView | number): oracle.Plain {
  return typeof x === "number" ? { shape: [], values: [x] } : x;
}

function aliasOf(a: HostView, shape: readonly number[]): { alias?: string } {
  return a.shape.join() === shape.join() ? { alias: "a" } : {};
}

const unaryKinds = {
  neg: (x: number) => -x,
  abs: Math.abs,
  floor: Math.floor,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  erf: integralErf,
};

/** 2/√π ∫₀ˣ e^(-t²) dt by Simpson's rule on 2,000 pieces: good to 1e-14 for |x| < 10. */
function integralErf(x: number): number {
  const n = 2000;
  const h = x / n;
  let sum = 0;
  for (let i = 0; i <= n; i++) sum += (i === 0 || i === n ? 1 : i % 2 === 1 ? 4 : 2) * Math.exp(-((i * h) ** 2));
  return (2 / Math.sqrt(Math.PI)) * (h / 3) * sum;
}

const binaryKinds = {
  add: (a: number, b: number) => a + b,
  sub: (a: number, b: number) => a - b,
  mul: (a: number, b: number) => a * b,
  div: (a: number, b: number) => a / b,
  min: Math.min,
  max: Math.max,
};

const compareKinds = {
  lt: (a: number, b: number) => Number(a < b),
  le: (a: number, b: number) => Number(a <= b),
  eq: (a: number, b: number) => Number(a === b),
};

function keys<T extends object>(record: T): (keyof T & string)[] {
  return Object.keys(record) as (keyof T & string)[];
}

const arithmetic: readonly PrimitiveCase[] = [
  ...keys(unaryKinds).map(
    (kind): PrimitiveCase => ({
      name: "unary",
      title: `unary ${kind}`,
      serves: isFloat,
      make(random, dtype) {
        const x = values(random, dtype, shapeOf(random), kind === "log" || kind === "sqrt");
        const want = oracle.elementwise(unaryKinds[kind], x).values;
        return { name: "unary", inputs: { x }, attrs: { kind }, out: x, want, exact: false, alias: "x" };
      },
    }),
  ),
  ...keys(binaryKinds).map(
    (kind): PrimitiveCase => ({
      name: "binary",
      title: `binary ${kind}`,
      // what integers do on overflow and division is not part of the contract
      serves: (dtype) => isFloat(dtype) || (dtype === "i32" && kind !== "div"),
      make(random, dtype) {
        const { a, b } = pair(random, dtype, kind === "div");
        const want = oracle.elementwise(binaryKinds[kind], a, plain(b));
        const out = { dtype, shape: want.shape };
        return {
          name: "binary",
          inputs: { a, b },
          attrs: { kind },
          out,
          want: want.values,
          exact: !isFloat(dtype),
          ...aliasOf(a, want.shape),
        };
      },
    }),
  ),
  ...keys(compareKinds).map(
    (kind): PrimitiveCase => ({
      name: "compare",
      title: `compare ${kind}`,
      serves: numeric,
      make(random, dtype) {
        const { a, b } = pair(random, dtype);
        const want = oracle.elementwise(compareKinds[kind], a, plain(b));
        const out: Spec = { dtype: "bool", shape: want.shape };
        return { name: "compare", inputs: { a, b }, attrs: { kind }, out, want: want.values, exact: true };
      },
    }),
  ),
  {
    name: "where",
    title: "where",
    serves: any,
    make(random, dtype) {
      const { a, b } = pair(random, dtype);
      const both = oracle.stretched(a.shape, plain(b).shape);
      const test = values(
        random,
        "bool",
        both.map((d) => (random.chance(0.3) ? 1 : d)),
      );
      const want = oracle.elementwise((t, x, y) => (t !== 0 ? x : y), test, a, plain(b));
      const out = { dtype, shape: want.shape };
      return {
        name: "where",
        inputs: { test, a, b },
        attrs: {},
        out,
        want: want.values,
        exact: true,
        ...aliasOf(a, want.shape),
      };
    },
  },
  {
    name: "reduce",
    title: "reduce sum",
    serves: (dtype) => isFloat(dtype) || dtype === "i32",
    make: (random, dtype) => reduction(random, dtype, "sum"),
  },
  {
    name: "reduce",
    title: "reduce max",
    serves: (dtype) => isFloat(dtype) || dtype === "i32",
    make: (random, dtype) => reduction(random, dtype, "max"),
  },
  {
    name: "matmul",
    title: "matmul",
    serves: isFloat,
    make(random, dtype) {
      const batch = shapeOf(random, 0, 2);
      const sizes = random.list(3, () => (random.chance(0.2) ? random.int(17, 70) : random.int(1, 6)));
      const [m, k, n] = [sizes[0]!, sizes[1]!, sizes[2]!];
      const [ta, tb] = [random.chance(0.5), random.chance(0.5)];
      const a = values(random, dtype, [...batch, ...(ta ? [k, m] : [m, k])]);
      const b = values(random, dtype, [...(random.chance(0.5) ? batch : []), ...(tb ? [n, k] : [k, n])]);
      const want = oracle.matmul(a, b, ta, tb);
      const out = { dtype, shape: want.shape };
      return { name: "matmul", inputs: { a, b }, attrs: { ta, tb }, out, want: want.values, exact: false };
    },
  },
];

function reduction(random: Random, dtype: DType, kind: "sum" | "max"): PrimitiveCall {
  const x = values(random, dtype, shapeOf(random));
  const axes = x.shape.map((_, axis) => axis).filter(() => random.chance(0.5));
  const want = oracle.reduce(x, kind, axes);
  const out = { dtype, shape: want.shape };
  return {
    name: "reduce",
    inputs: { x },
    attrs: { kind, axes },
    out,
    want: want.values,
    exact: kind === "max" || !isFloat(dtype),
  };
}

const movement: readonly PrimitiveCase[] = [
  {
    name: "fill",
    title: "fill",
    serves: any,
    make(random, dtype) {
      const out = { dtype, shape: shapeOf(random) };
      const value = values(random, dtype, [1]).values[0]!;
      return {
        name: "fill",
        inputs: {},
        attrs: { value },
        out,
        want: oracle.make(out.shape, () => value).values,
        exact: true,
      };
    },
  },
  {
    name: "iota",
    title: "iota",
    serves: numeric,
    make(random, dtype) {
      const out = { dtype, shape: [random.int(1, 100)] };
      return {
        name: "iota",
        inputs: {},
        attrs: {},
        out,
        want: oracle.make(out.shape, ([i]) => i!).values,
        exact: true,
      };
    },
  },
  {
    name: "random",
    title: "random",
    serves: (dtype) => dtype === "f32",
    make(random, dtype) {
      const out = { dtype, shape: shapeOf(random) };
      const at = random.int(0, 2 ** 31 - 1);
      const attrs = { seed: random.int(0, 2 ** 32 - 1), stream: random.int(0, 2 ** 32 - 1) };
      const draw = philox(attrs.seed, attrs.stream, at);
      const want = Array.from(oracle.indices(out.shape), (_, i) => draw(i));
      const step: HostView = { dtype: "i32", shape: [], values: [at] };
      return { name: "random", inputs: { step }, attrs, out, want, exact: true };
    },
  },
  {
    name: "cast",
    title: "cast",
    serves: any,
    make(random, dtype) {
      const from = random.pick<DType>(["f32", "i32", dtype]);
      const positive = dtype === "u8";
      const x = values(random, from, shapeOf(random), positive);
      const towards = isFloat(dtype)
        ? (v: number) => v
        : dtype === "bool"
          ? (v: number) => Number(v !== 0)
          : Math.trunc;
      const want = roundTo(dtype, Array.from(x.values, towards));
      return { name: "cast", inputs: { x }, attrs: {}, out: { dtype, shape: x.shape }, want, exact: true };
    },
  },
  {
    name: "permute",
    title: "permute",
    serves: any,
    make(random, dtype) {
      const x = values(random, dtype, shapeOf(random));
      const order: number[] = [];
      for (const axis of x.shape.keys()) order.splice(random.int(0, order.length), 0, axis);
      const want = oracle.permute(x, order);
      return {
        name: "permute",
        inputs: { x },
        attrs: { order },
        out: { dtype, shape: want.shape },
        want: want.values,
        exact: true,
      };
    },
  },
  {
    name: "slice",
    title: "slice",
    serves: any,
    make(random, dtype) {
      const x = values(random, dtype, shapeOf(random, 1));
      const start = x.shape.map((d) => random.int(0, d - 1));
      const shape = x.shape.map((d, axis) => random.int(1, d - start[axis]!));
      const want = oracle.slice(x, start, shape).values;
      return { name: "slice", inputs: { x }, attrs: { start }, out: { dtype, shape }, want, exact: true };
    },
  },
  {
    name: "concat",
    title: "concat",
    serves: any,
    make(random, dtype) {
      const shape = shapeOf(random, 1);
      const axis = random.int(0, shape.length - 1);
      const xs = random.list(random.int(1, 4), () => values(random, dtype, shape.with(axis, random.int(1, 4))));
      const want = oracle.concat(xs, axis);
      return {
        name: "concat",
        inputs: { xs },
        attrs: { axis },
        out: { dtype, shape: want.shape },
        want: want.values,
        exact: true,
      };
    },
  },
  {
    name: "gather",
    title: "gather",
    serves: any,
    make(random, dtype) {
      const table = values(random, dtype, shapeOf(random, 1, 3));
      const shape = shapeOf(random, 0, 2);
      const index: HostView = { dtype: "i32", ...oracle.make(shape, () => random.int(0, table.shape[0]! - 1)) };
      const want = oracle.gather(table, index);
      return {
        name: "gather",
        inputs: { table, index },
        attrs: {},
        out: { dtype, shape: want.shape },
        want: want.values,
        exact: true,
      };
    },
  },
  {
    name: "scatterAdd",
    title: "scatterAdd",
    serves: (dtype) => isFloat(dtype) || dtype === "i32",
    make(random, dtype) {
      const lead = shapeOf(random, 1, 2);
      const size = random.int(1, 6);
      const rows = values(random, dtype, [...lead, ...shapeOf(random, 0, 2)]);
      const index: HostView = { dtype: "i32", ...oracle.make(lead, () => random.int(-1, size - 1)) };
      const want = oracle.scatterAdd(rows, index, size);
      return {
        name: "scatterAdd",
        inputs: { rows, index },
        attrs: {},
        out: { dtype, shape: want.shape },
        want: want.values,
        exact: !isFloat(dtype),
      };
    },
  },
  {
    name: "argmax",
    title: "argmax",
    serves: (dtype) => isFloat(dtype) || dtype === "i32",
    make(random, dtype) {
      const shape = shapeOf(random, 1);
      // few distinct values: the first of equals wins
      const x: HostView = { dtype, ...oracle.make(shape, () => random.int(-2, 2)) };
      const want = oracle.argmax(x);
      return {
        name: "argmax",
        inputs: { x },
        attrs: {},
        out: { dtype: "i32", shape: want.shape },
        want: want.values,
        exact: true,
      };
    },
  },
  {
    name: "searchSorted",
    title: "searchSorted",
    serves: (dtype) => dtype === "f32" || dtype === "f64",
    make(random, dtype) {
      const sorted = random.list(random.int(1, 17), () => random.int(-8, 8)).sort((p, q) => p - q);
      const bounds: HostView = { dtype, shape: [sorted.length], values: sorted };
      const x: HostView = { dtype, ...oracle.make(shapeOf(random), () => random.int(-18, 18) / 2) };
      const want = oracle.elementwise((v) => sorted.filter((bound) => bound < v).length, x).values;
      return {
        name: "searchSorted",
        inputs: { x, bounds },
        attrs: {},
        out: { dtype: "i32", shape: x.shape },
        want,
        exact: true,
      };
    },
  },
];

/** Every primitive, every kind. */
export const primitiveCases: readonly PrimitiveCase[] = [...arithmetic, ...movement];
