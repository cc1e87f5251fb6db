import { createCpuBackend } from "@ft/backend-cpu";
import { philoxNormal } from "@ft/tensor";
import { expect, it } from "vitest";
import { quantizationError, quantizeTo4bit } from "../src/index.ts";
import { held } from "./support.ts";

/*
 * Mean absolute error of NF4 on N(0, 1), 1024², by block size. The wanted means are bitsandbytes'. The standard error of a
 * mean over n values is taken from the sample: errors of one block share its absmax, so blocks, not elements, are the
 * independent units, and the error is the deviation of block means over the root of their number. The wanted figures
 * have four decimals, so half a unit of the last one is added.
 */
const wanted: readonly (readonly [blockSize: number, mean: number])[] = [
  [32, 0.0677],
  [64, 0.0728],
  [128, 0.0768],
  [256, 0.0803],
  [512, 0.0835],
  [1024, 0.0866],
  [2048, 0.0896],
  [4096, 0.0925],
];

it("has bitsandbytes' mean error on normal numbers, at every block size", async () => {
  const backend = await createCpuBackend();
  const normal = philoxNormal(2023, 4, 0);
  const values = Float32Array.from({ length: 1024 ** 2 }, (_, i) => normal(i));
  for (const [blockSize, mean] of wanted) {
    const linear = await quantizeTo4bit(backend, held("normal", "f32", values, 1024), {
      ...{ type: "nf4", blockSize, doubleQuant: false },
    });
    const dense = linear.materialize("f32");
    const decoded = await dense.read();
    const means = Array.from({ length: values.length / blockSize }, (_, block) => {
      let sum = 0;
      for (let i = block * blockSize; i < (block + 1) * blockSize; i++) sum += Math.abs(decoded[i]! - values[i]!);
      return sum / blockSize;
    });
    const found = means.reduce((sum, x) => sum + x, 0) / means.length;
    const variance = means.reduce((sum, x) => sum + (x - found) ** 2, 0) / (means.length - 1);
    const standardError = Math.sqrt(variance / means.length);
    expect(standardError).toBeLessThan(5e-4);
    expect(Math.abs(found - mean), `block ${blockSize}: ${found} ± ${standardError}`).toBeLessThan(
      3 * standardError + 0.5e-4,
    );
    const [row] = await quantizationError(new Map([["normal", linear]]), async () => values);
    expect(row?.meanAbsolute).toBeCloseTo(found, 9);
    dense.dispose();
    linear.dispose();
  }
});
