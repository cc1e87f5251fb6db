import { type Backend, type FloatDType, f16ToF32, f32ToF16, type Parameter, tensor, windowElements } from "@ft/tensor";
import { approximateReciprocal } from "@ft/tensor/ops";
import { Int8Linear } from "../int8-linear.ts";
import { checkFinite, type HostWeight, widen } from "./host-weight.ts";

/**
 * A float weight [out, in] as int8, rows scaled by their largest magnitude: round(x·(127/absmax)), ties to
 * even, of the weight rounded to f16, as bitsandbytes' CUDA kernel has it, reciprocal included. A row of zeros has absmax 0.
 * Errors: "numeric" (a value that is not finite, or beyond f16).
 */
export async function quantizeToInt8(
  backend: Backend,
  from: HostWeight,
  bias?: Parameter<FloatDType, readonly ["out"]>,
): Promise<Int8Linear> {
  const [rows, columns] = from.shape;
  const codes = new Int8Array(rows * columns);
  const absmax = new Float32Array(rows);
  // rows of a window, at least one
  const step = Math.max(1, Math.floor(windowElements / columns));
  for (let row = 0; row < rows; row += step) {
    const start = row * columns;
    const count = Math.min(step, rows - row) * columns;
    const data = await from.read(start, count);
    checkFinite(from, data, start);
    const halves = f32ToF16(widen(from.dtype, data));
    checkFinite({ ...from, name: `${from.name} in f16`, dtype: "f16" }, halves, start);
    const values = f16ToF32(halves);
    for (let i = 0; i < count; i += columns)
      absmax[row + i / columns] = quantizeRow(values.subarray(i, i + columns), codes.subarray(start + i));
  }
  const weight = {
    codes: tensor(backend, "i8", ["out", "in"], from.shape, codes, { give: true }),
    absmax: tensor(backend, "f32", ["out"], [rows], absmax, { give: true }),
  };
  return new Int8Linear(weight, bias);
}

/** Writes the codes of one row and returns its largest magnitude. */
function quantizeRow(values: Float32Array, codes: Int8Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  if (most === 0) return 0;
  const scale = Math.fround(127 * approximateReciprocal(most));
  for (let i = 0; i < values.length; i++) codes[i] = roundEven(Math.fround(values[i]! * scale));
  return most;
}

/** To the nearest whole number, a half to the even one: adding 1.5·2^52 leaves no bits for a fraction. */
function roundEven(x: number): number {
  return x + 6755399441055744 - 6755399441055744;
}
