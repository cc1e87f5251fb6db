/*
 * What the primitives mean, said as plainly as possible: one loop over the indices of the result and a formula. Slow and
 * independent of any backend.
 */

/** A dense array of numbers with a shape. */
export interface Plain {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}
type Index = readonly number[];

/** Every index of a shape, in row-major order. */
export function* indices(shape: readonly number[]): Generator<number[]> {
  const total = shape.reduce((n, d) => n * d, 1);
  for (let flat = 0; flat < total; flat++) {
    const index: number[] = [];
    for (let axis = shape.length - 1, rest = flat; axis >= 0; axis--) {
      index.unshift(rest % shape[axis]!);
      rest = Math.floor(rest / shape[axis]!);
    }
    yield index;
  }
}

/** The element at an index; a size of 1 is stretched and missing leading axes are ignored, as in NumPy. */
export function at({ shape, values }: Plain, index: Index): number {
  const own = index.slice(index.length - shape.length);
  return values[own.reduce((flat, i, axis) => flat * shape[axis]! + (shape[axis] === 1 ? 0 : i), 0)]!;
}

export function make(shape: readonly number[], fn: (index: number[]) => number): Plain {
  return { shape, values: Array.from(indices(shape), fn) };
}

/** The shape two operands are stretched to. */
export function stretched(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [p, q] = [a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1];
    return p === 1 ? q : p;
  });
}

export function elementwise(fn: (...values: number[]) => number, ...operands: Plain[]): Plain {
  const shape = operands.map((x) => x.shape).reduce(stretched);
  return make(shape, (index) => fn(...operands.map((x) => at(x, index))));
}

export function permute(x: Plain, order: readonly number[]): Plain {
  const shape = order.map((axis) => x.shape[axis]!);
  return make(shape, (index) =>
    at(
      x,
      x.shape.map((_, axis) => index[order.indexOf(axis)]!),
    ),
  );
}

export function slice(x: Plain, start: Index, shape: readonly number[]): Plain {
  return make(
    shape,
    (index) =>
      x.values[
        flat(
          x.shape,
          index.map((i, axis) => i + start[axis]!),
        )
      ]!,
  );
}

export function concat(xs: readonly Plain[], axis: number): Plain {
  const pieces = xs.flatMap((x) => Array.from({ length: x.shape[axis]! }, (_, i) => ({ x, i })));
  const shape = xs[0]!.shape.map((d, i) => (i === axis ? pieces.length : d));
  return make(shape, (index) => {
    const { x, i } = pieces[index[axis]!]!;
    return x.values[flat(x.shape, index.with(axis, i))]!;
  });
}

export function gather(table: Plain, index: Plain): Plain {
  const rank = index.shape.length;
  return make([...index.shape, ...table.shape.slice(1)], (place) => {
    const row = index.values[flat(index.shape, place.slice(0, rank))]!;
    return table.values[flat(table.shape, [row, ...place.slice(rank)])]!;
  });
}

export function scatterAdd(rows: Plain, index: Plain, size: number): Plain {
  const rest = rows.shape.slice(index.shape.length);
  return make([size, ...rest], ([row, ...inner]) => {
    let sum = 0;
    for (const place of indices(index.shape))
      if (index.values[flat(index.shape, place)] === row) sum += rows.values[flat(rows.shape, [...place, ...inner])]!;
    return sum;
  });
}

export function reduce(x: Plain, kind: "sum" | "max", axes: readonly number[]): Plain {
  const shape = x.shape.map((d, axis) => (axes.includes(axis) ? 1 : d));
  return make(shape, (index) => {
    let result = kind === "sum" ? 0 : Number.NEGATIVE_INFINITY;
    for (const inner of indices(x.shape.map((d, axis) => (axes.includes(axis) ? d : 1)))) {
      const value =
        x.values[
          flat(
            x.shape,
            index.map((i, axis) => i + inner[axis]!),
          )
        ]!;
      result = kind === "sum" ? result + value : Math.max(result, value);
    }
    return result;
  });
}

export function argmax(x: Plain): Plain {
  const last = x.shape.at(-1)!;
  return make(x.shape.slice(0, -1), (index) => {
    const row = Array.from({ length: last }, (_, i) => x.values[flat(x.shape, [...index, i])]!);
    return row.indexOf(Math.max(...row));
  });
}

export function matmul(a: Plain, b: Plain, ta: boolean, tb: boolean): Plain {
  const batch = a.shape.slice(0, -2);
  const [rowsA, columnsA] = a.shape.slice(-2);
  const [m, k] = ta ? [columnsA!, rowsA!] : [rowsA!, columnsA!];
  const n = b.shape.at(tb ? -2 : -1)!;
  return make([...batch, m, n], (index) => {
    const [i, j] = index.slice(-2);
    const lead = index.slice(0, -2);
    const leadB = b.shape.length === 2 ? [] : lead;
    let sum = 0;
    for (let l = 0; l < k; l++) {
      const left = a.values[flat(a.shape, [...lead, ...(ta ? [l, i!] : [i!, l])])]!;
      sum += left * b.values[flat(b.shape, [...leadB, ...(tb ? [j!, l] : [l, j!])])]!;
    }
    return sum;
  });
}

function flat(shape: readonly number[], index: Index): number {
  return index.reduce((sum, i, axis) => sum * shape[axis]! + i, 0);
}
