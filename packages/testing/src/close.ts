import { bf16ToF32, type DataOf, type DType, FtError, f16ToF32 } from "@ft/tensor";

/** How far a tensor may be from the one wanted, and why. */
export interface Tolerance {
  /** largest allowed |got − want|, in units of the largest |want| of the whole tensor */
  readonly relative: number;
  /** smallest unit, for tensors that are zero but for rounding; 0 when absent */
  readonly floor?: number;
  /** why the bound is what it is; part of the message */
  readonly reason: string;
}

/** Where two tensors differ most, in units of the largest finite magnitude wanted. */
export interface Difference {
  readonly error: number;
  readonly at: number;
}

/**
 * max |got − want| / max(|want|, floor) over whole tensors. NaN equals NaN and an infinity itself; any other pair with
 * one of them, or a different length, counts as infinitely wrong.
 */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>, floor = 0): Difference {
  if (got.length !== want.length) return { error: Number.POSITIVE_INFINITY, at: Math.min(got.length, want.length) };
  let unit = floor;
  for (let i = 0; i < want.length; i++) if (Number.isFinite(want[i])) unit = Math.max(unit, Math.abs(want[i]!));
  let most = 0;
  let at = 0;
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i]!, want[i]!];
    if (Object.is(g, w) || g === w) continue;
    const gap = Math.abs(g - w);
    const difference = Number.isFinite(gap) ? gap : Number.POSITIVE_INFINITY;
    if (difference > most) {
      most = difference;
      at = i;
    }
  }
  return { error: most === 0 ? 0 : most / unit, at };
}

/** Throws, naming the worst element, unless two whole tensors agree within `relative` of the largest magnitude. */
export function expectClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: Tolerance,
  what = "values",
): void {
  const { relative, reason, floor } = tolerance;
  const { error, at } = relativeError(got, want, floor);
  if (error <= relative) return;
  if (got.length !== want.length)
    throw new FtError(
      "numeric",
      `[expectClose] ${what}: ${got.length} values, wanted ${want.length}`,
      "compare like with like",
    );
  throw new FtError(
    "numeric",
    `[expectClose] ${what}: element ${at} is ${got[at]}, wanted ${want[at]}: off by ${error.toExponential(2)} of the largest, allowed ${relative}`,
    `the bound: ${reason}`,
  );
}

/** Throws unless every element is the same number (NaN equals NaN, 0 equals −0). */
export function expectEqual(got: ArrayLike<number>, want: ArrayLike<number>, what = "values"): void {
  expectClose(got, want, { relative: 0, reason: "exact values" }, what);
}

/** Throws unless two results are the same bytes. */
export function expectSameBytes(got: DataOf[DType], want: DataOf[DType], what = "values"): void {
  const [a, b] = [got, want].map((x) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
  const at = a!.findIndex((byte, i) => byte !== b![i]);
  if (a!.length !== b!.length || at >= 0)
    throw new FtError(
      "numeric",
      `[expectSameBytes] ${what}: byte ${at} of ${b!.length} differs`,
      "make the order of sums independent of it",
    );
}

/** Numbers of a host array: 16-bit floats are decoded, the rest is itself. */
export function numbersOf(dtype: DType, data: DataOf[DType]): Exclude<DataOf[DType], Uint16Array> {
  if (!(data instanceof Uint16Array)) return data;
  return dtype === "bf16" ? bf16ToF32(data) : f16ToF32(data);
}
