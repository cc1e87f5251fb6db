import type { Linear } from "@ft/nn";
import { FtError } from "@ft/tensor";

/** What quantising has cost one weight. */
export interface TensorError {
  readonly path: string;
  readonly shape: readonly [number, number];
  /** mean of |decoded − original| */
  readonly meanAbsolute: number;
  /** ‖decoded − original‖ / ‖original‖, both over all elements */
  readonly relative: number;
  /** largest |decoded − original| */
  readonly max: number;
  /** of codes and statistics, without the bias */
  readonly bitsPerWeight: number;
}

/**
 * The error of each quantised weight against the original, which `original` gives by module path as f32 [out, in],
 * row-major. One weight at a time is decoded. Errors: "shape".
 */
export async function quantizationError(
  linears: ReadonlyMap<string, Linear>,
  original: (path: string) => Promise<Float32Array>,
): Promise<TensorError[]> {
  const rows: TensorError[] = [];
  for (const [path, linear] of linears) {
    const shape = [linear.outFeatures, linear.inFeatures] as const;
    const size = shape[0] * shape[1];
    const want = await original(path);
    if (want.length !== size)
      throw new FtError(
        "shape",
        `[quantizationError] ${path}: ${want.length} values`,
        `the weight has ${shape[0]}×${shape[1]}`,
      );
    const dense = linear.materialize("f32");
    const got = await dense.read();
    dense.dispose();
    const bias = [...linear.parameters().values()].reduce((sum, x) => sum + x.backend.bytes(x), 0);
    rows.push({ path, shape, ...compare(got, want), bitsPerWeight: (8 * (linear.bytes - bias)) / size });
  }
  return rows;
}

function compare(got: Float32Array, want: Float32Array): Pick<TensorError, "meanAbsolute" | "relative" | "max"> {
  let [sum, squares, norm, max] = [0, 0, 0, 0];
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i]! - want[i]!);
    sum += error;
    squares += error * error;
    norm += want[i]! * want[i]!;
    max = Math.max(max, error);
  }
  return { meanAbsolute: sum / want.length, relative: squares === 0 ? 0 : Math.sqrt(squares / norm), max };
}

/** The rows as a table of text, worst relative error first, with the mean over all weights below. */
export function errorTable(rows: readonly TensorError[]): string {
  const size = ({ shape }: TensorError): number => shape[0] * shape[1];
  const total = rows.reduce((sum, row) => sum + size(row), 0);
  const mean = (of: (row: TensorError) => number): number =>
    rows.reduce((sum, row) => sum + of(row) * size(row), 0) / total;
  const ordered = [...rows].sort((a, b) => b.relative - a.relative);
  const cells = (path: string, shape: string, { meanAbsolute, relative, max, bitsPerWeight }: Numbers): string[] => [
    ...[
      path,
      shape,
      meanAbsolute.toPrecision(4),
      relative.toPrecision(4),
      max.toPrecision(4),
      bitsPerWeight.toFixed(3),
    ],
  ];
  const lines = [
    ["weight", "shape", "mean |error|", "relative", "max |error|", "bits"],
    ...ordered.map((row) => cells(row.path, row.shape.join("×"), row)),
    cells(`all ${rows.length}`, String(total), {
      meanAbsolute: mean((row) => row.meanAbsolute),
      relative: mean((row) => row.relative),
      max: rows.reduce((most, row) => Math.max(most, row.max), 0),
      bitsPerWeight: mean((row) => row.bitsPerWeight),
    }),
  ];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

type Numbers = Pick<TensorError, "meanAbsolute" | "relative" | "max" | "bitsPerWeight">;
