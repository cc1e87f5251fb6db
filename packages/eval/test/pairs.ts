import { golden } from "@ft/testing";

/** A prediction and its references. */
export type Pair = readonly [prediction: string, references: readonly string[]];

/** What `tools/goldens/eval_pairs.py` made: pairs, and lists of them to score together. */
export interface Pairs {
  readonly pairs: readonly Pair[];
  readonly corpora: Readonly<Record<string, readonly number[]>>;
}

/** A golden file of `tools/goldens/data`, without the versions of what made it. */
export async function readGolden<T>(path: string): Promise<T> {
  const { versions: _, ...rest } = await golden<T & { versions: object }>(
    new URL(`../../../tools/goldens/data/${path}`, import.meta.url),
  );
  return rest as T;
}

/** Numbers that Python packed as little-endian float64. */
export function doubles(base64: string): number[] {
  const bytes = Buffer.from(base64, "base64");
  return Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleLE(8 * i));
}

/** Where two lists differ by more than the tolerance, the first of them with their places. */
export function differences(found: readonly number[], expected: readonly number[], tolerance: number): unknown[] {
  if (found.length !== expected.length) return [`${found.length} numbers where ${expected.length} were expected`];
  return found.flatMap((value, i) =>
    Math.abs(value - (expected[i] ?? Number.NaN)) <= tolerance ? [] : [{ i, value, expected: expected[i] }],
  );
}
