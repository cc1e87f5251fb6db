import { describe, expect, it } from "vitest";
import type { CudaView } from "../context.ts";
import { createParameters } from "./parameters.ts";

const view = {
  dtype: "f32",
  shape: [2],
  storage: { buffer: { address: 0x7f00_1234_5678n, bytes: 8 } },
} as unknown as CudaView;

/** The values that the driver would find: eight bytes behind each address, as they lie one after the other. */
function packed(types: string, values: Parameters<ReturnType<typeof createParameters>["pack"]>[2]): DataView {
  const parameters = createParameters();
  parameters.pack("kernel", types.split(" "), values);
  const { pointers } = parameters;
  for (let i = 1; i < pointers.length; i++) expect(pointers[i]! - pointers[i - 1]!).toBe(8n);
  return parameters.values;
}

describe("createParameters", () => {
  it("writes every value by the type of its parameter", () => {
    const at = packed("u64 u64 u64 u32 u32 u64 f32 f64", [view, undefined, 5n, 7, -1, 2 ** 40 + 1, 0.1, 0.1]);
    expect(at.getBigUint64(0, true)).toBe(0x7f00_1234_5678n);
    expect(at.getBigUint64(8, true)).toBe(0n);
    expect(at.getBigUint64(16, true)).toBe(5n);
    expect(at.getUint32(24, true)).toBe(7);
    expect(at.getInt32(32, true)).toBe(-1);
    expect(at.getBigInt64(40, true)).toBe(2n ** 40n + 1n);
    expect(at.getFloat32(48, true)).toBe(Math.fround(0.1));
    expect(at.getFloat64(56, true)).toBe(0.1);
  });

  it("refuses a wrong number of arguments, and a pointer where a number belongs", () => {
    expect(() => packed("u64 u32", [view])).toThrow("kernel: 1 arguments for 2 parameters");
    expect(() => packed("u32", [view])).toThrow("parameter 0 is a u32, its argument a pointer");
  });
});
