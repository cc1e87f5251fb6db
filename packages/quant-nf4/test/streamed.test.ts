import { createCpuBackend } from "@ft/backend-cpu";
import { type Backend, type DataOf, f32ToBf16, memory, philoxNormal, windowElements } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { quantizeTo4bit } from "../src/index.ts";
import type { HeldDType } from "../src/quantize/host-weight.ts";
import { held } from "./support.ts";

/* A weight of several windows: codes that stay on the backend are those that go by way of the host. */

const rows = 3;
const count = rows * Math.ceil((2 * windowElements + 1000) / rows);
const normal = philoxNormal(3, 0, 0);
const some = Float32Array.from({ length: 9973 }, (_, i) => 0.02 * normal(i));
const repeated = (piece: Float32Array): Float32Array<ArrayBuffer> => {
  const whole = new Float32Array(count);
  for (let i = 0; i < count; i += piece.length) whole.set(piece.subarray(0, Math.min(piece.length, count - i)), i);
  return whole;
};
const values = repeated(some);
const format = { type: "nf4", blockSize: 64, doubleQuant: true } as const;

/** The same backend with windows of its buffers and without, where codes go by way of the host. */
async function both(): Promise<{ readonly windows: Backend; readonly host: Backend; readonly reads: () => number }> {
  const cpu = await createCpuBackend();
  const { part: _, ...host } = cpu;
  const { adopt: __, ...card } = cpu;
  let read = 0;
  const windows: Backend = {
    ...card,
    read(buffer, spec) {
      read += spec.shape.reduce((n, d) => n * d, 1);
      return cpu.read(buffer, spec);
    },
  };
  return { windows, host, reads: () => read };
}

describe("a weight of several windows", () => {
  it.each([
    ["f32", values, format],
    ["bf16", f32ToBf16(values), { ...format, blockSize: 4096 }],
    ["f32", values, { ...format, type: "fp4", doubleQuant: false }],
  ] as const)("has the same bytes on a backend that keeps them: %s %#", async (dtype, data, options) => {
    const { windows, host, reads } = await both();
    const from = held("w", dtype, data as DataOf[HeldDType], rows);
    const want = await quantizeTo4bit(host, from, options);
    const got = await quantizeTo4bit(windows, from, options);
    // statistics, and a number for each window: no codes
    expect(reads()).toBe((options.doubleQuant ? Math.ceil(count / options.blockSize) : 0) + 3);
    for (const key of ["codes", "absmax", "nestedAbsmax", "offset"] as const) {
      const [a, b] = [await got.weight[key]?.read(), await want.weight[key]?.read()];
      expect(a?.length, key).toBe(b?.length);
      if (a && b) expect(Buffer.from(a.buffer).equals(Buffer.from(b.buffer)), key).toBe(true);
    }
    expect(got.facts).toEqual(want.facts);
    for (const linear of [got, want]) linear.dispose();
    expect([memory(windows).live, memory(host).live]).toEqual([0, 0]);
  });

  it("is refused where one of its last numbers is not finite, which is named; large ones are not", async () => {
    const { windows } = await both();
    const large = values.slice();
    large[count - 2] = 3e38;
    const linear = await quantizeTo4bit(windows, held("w", "f32", large, rows), format);
    linear.dispose();
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      large[count - 5] = bad;
      const at = `w is ${bad} at row 2, column ${count / rows - 5}`;
      await expect(quantizeTo4bit(windows, held("w", "f32", large, rows), format)).rejects.toThrow(at);
    }
    expect(memory(windows).live).toBe(0);
  });

  it("leaves nothing behind where reading it fails", async () => {
    const { windows } = await both();
    const from = held("w", "f32", values, rows);
    const read: typeof from.read = (start, n) =>
      start === 0 ? from.read(start, n) : Promise.reject(new Error("the file was cut short"));
    await expect(quantizeTo4bit(windows, { ...from, read }, format)).rejects.toThrow("cut short");
    expect(memory(windows).live).toBe(0);
  });
});
