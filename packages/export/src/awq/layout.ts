import { FtError, f16ToF32 } from "@ft/tensor";
import { awqGrid, toGrid } from "./grid.ts";
import { packWords, perWord, unpackWords } from "./packing.ts";

/** A linear layer as AutoAWQ's GEMM layout stores it: inputs along rows, eight outputs in a word. */
export interface AwqTensors {
  /** [in, out / 8] */
  readonly qweight: Int32Array<ArrayBuffer>;
  /** [in / groupSize, out / 8] */
  readonly qzeros: Int32Array<ArrayBuffer>;
  /** f16, [in / groupSize, out] */
  readonly scales: Uint16Array<ArrayBuffer>;
}

/** Quantises a weight [out, in] to 4 bits in groups of `groupSize` inputs, rounding to the nearest. */
export function quantizeAwq(
  weight: Float32Array,
  [out, inputs]: readonly [number, number],
  groupSize: number,
): AwqTensors {
  const grid = awqGrid(weight, groupSize);
  const { zeros, scales } = grid;
  const groups = inputs / groupSize;
  const integers = toGrid(weight, grid, groupSize);
  return {
    qweight: packWords(transposed(integers, out, inputs, new Uint8Array(integers.length))),
    qzeros: packWords(transposed(zeros, out, groups, new Uint8Array(zeros.length))),
    scales: transposed(scales, out, groups, new Uint16Array(scales.length)),
  };
}

/** The weight [out, in] that the tensors stand for: (q − zero) · scale, exact in f32. Errors: "format" (sizes that do not agree). */
export function dequantizeAwq(
  { qweight, qzeros, scales }: AwqTensors,
  [out, inputs]: readonly [number, number],
  groupSize: number,
): Float32Array<ArrayBuffer> {
  const groups = inputs / groupSize;
  if (
    !Number.isInteger(groups) ||
    qweight.length * perWord !== inputs * out ||
    qzeros.length * perWord !== groups * out ||
    scales.length !== groups * out
  )
    throw new FtError(
      "format",
      `[awq] ${qweight.length} words, ${qzeros.length} words of zeros and ${scales.length} scales for ${out}×${inputs} in groups of ${groupSize}`,
      "the tensors belong to another layer or group size",
    );
  const integers = unpackWords(qweight);
  const zeros = unpackWords(qzeros);
  const steps = f16ToF32(scales);
  const weight = new Float32Array(out * inputs);
  for (let i = 0; i < inputs; i++) {
    const group = Math.floor(i / groupSize) * out;
    for (let o = 0; o < out; o++)
      weight[o * inputs + i] = (integers[i * out + o]! - zeros[group + o]!) * steps[group + o]!;
  }
  return weight;
}

/** [rows, columns] to [columns, rows], into an array of its own. */
function transposed<T extends Uint8Array | Uint16Array>(x: T, rows: number, columns: number, turned: T): T {
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) turned[c * rows + r] = x[r * columns + c]!;
  return turned;
}
