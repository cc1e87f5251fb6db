import { type Backend, tensor } from "@ft/tensor";
import { expectClose } from "@ft/testing";
import { beforeAll, describe, expect, it } from "vitest";
import { quantizeToInt8 } from "../src/index.ts";
import { backends, digest, dtypes, expectBytes, goldens, held, input, take } from "./support.ts";

const { json, quant } = goldens;
const rows = 23;

describe.each(backends)("int8 on %s", (_, make) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await make();
  });

  it.each(dtypes)("codes, absmax and decoded values of %s are bitsandbytes' bytes", async (dtype) => {
    const [, data] = await input(`int8.${dtype}`);
    const codes = await quant.read(`int8.${dtype}.codes`, "i8");
    const absmax = await quant.read(`int8.${dtype}.absmax`, "f32");
    // 65504 in bf16 is 65536: infinite in f16, which is refused here; bitsandbytes makes a row of zeros of it
    const refused = dtype === "bf16" ? 5 : undefined;
    if (refused !== undefined) {
      await expect(quantizeToInt8(backend, held(dtype, dtype, data, rows))).rejects.toThrow(
        "bf16 in f16 is -Infinity at row 5, column 7",
      );
      data.fill(0, 99 * refused, 99 * (refused + 1));
      expect(absmax[refused]).toBe(Number.POSITIVE_INFINITY);
      absmax[refused] = 0;
      codes.fill(0, 99 * refused, 99 * (refused + 1));
    }
    const linear = await quantizeToInt8(backend, held(dtype, dtype, data, rows));
    expectBytes(await linear.weight.codes.read(), codes, "codes");
    expectBytes(await linear.weight.absmax.read(), absmax, "absmax");
    const decoded = await take(linear.materialize("f32"));
    if (refused === undefined) expect(digest(decoded)).toBe(json.int8[`int8.${dtype}`]);
    linear.dispose();
  });

  it("multiplies by what materialize gives", async () => {
    const [, data] = await input("int8.f32");
    const linear = await quantizeToInt8(backend, held("w", "f32", data, rows));
    const x = tensor(backend, "f32", ["row", "in"], [99, 99], identity(99));
    const dense = await take(linear.materialize("f32"));
    const transposed = Float32Array.from(
      { length: 99 * rows },
      (_, i) => dense[(i % rows) * 99 + Math.floor(i / rows)]!,
    );
    const bound = { relative: 1e-6, reason: "one product with 1 and sums of zeros, in f32" };
    expectClose(await take(linear.apply(x)), transposed, bound);
    expect([linear.inFeatures, linear.outFeatures, linear.bytes]).toEqual([99, rows, 99 * rows + 4 * rows]);
    x.dispose();
    linear.dispose();
  });
});

function identity(n: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
}
