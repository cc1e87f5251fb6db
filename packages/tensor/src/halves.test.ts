import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FtError } from "./error.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "./halves.ts";

const golden: Record<"f16_to_f32" | "bf16_to_f32" | "f32_to_f16" | "f32_to_bf16", string> & { step: number } =
  JSON.parse(readFileSync(new URL("../../../tools/goldens/data/halves/halves.json", import.meta.url), "utf8"));
const patterns = Uint16Array.from({ length: 65_536 }, (_, i) => i);
const sha256 = (data: Uint16Array | Uint32Array) => createHash("sha256").update(data).digest("hex");
const bits = (x: Float32Array) => new Uint32Array(x.buffer, x.byteOffset, x.length);

const formats = [
  { name: "f16", widen: f16ToF32, narrow: f32ToF16, nan: 0x7e00, infinity: 0x7c00, limit: 65_536 },
  { name: "bf16", widen: bf16ToF32, narrow: f32ToBf16, nan: 0x7fc0, infinity: 0x7f80, limit: 2 ** 128 },
] as const;

describe.each(formats)("$name", ({ name, widen, narrow, nan, infinity, limit }) => {
  it("widens all 65,536 patterns as NumPy does", () => {
    const wide = widen(patterns);
    const canonical = bits(wide).map((b, i) => (Number.isNaN(wide[i]) ? 0x7fc00000 : b));
    expect(sha256(canonical)).toBe(golden[`${name}_to_f32`]);
  });

  it("narrows a million f32 patterns from all over the range as NumPy does", () => {
    const wide = new Float32Array(Math.ceil(2 ** 32 / golden.step));
    const wideBits = bits(wide);
    for (let i = 0; i < wide.length; i++) wideBits[i] = i * golden.step;
    const canonical = narrow(wide).map((h, i) => (Number.isNaN(wide[i]) ? nan : h));
    expect(sha256(canonical)).toBe(golden[`f32_to_${name}`]);
  });

  it("gives every pattern back, NaN payloads too", () => {
    expect(sha256(narrow(widen(patterns)))).toBe(sha256(patterns));
  });

  it("rounds at every midpoint between neighbours to the even one, and off it to the nearer one", () => {
    const finite = patterns.subarray(0, infinity);
    const values = widen(finite);
    const probes = new Float32Array(3 * infinity);
    const expected = new Uint16Array(probes.length);
    for (let p = 0; p < infinity; p++) {
      const here = values[p]!;
      const next = p + 1 < infinity ? values[p + 1]! : limit;
      const middle = new Float32Array([(here + next) / 2]); // exact: f32 has spare mantissa bits
      for (const nudge of [-1, 0, 1]) {
        const at = 3 * p + nudge + 1;
        probes.set(middle, at);
        bits(probes)[at] = bits(middle)[0]! + nudge;
        expected[at] = nudge < 0 ? p : nudge > 0 ? p + 1 : p + (p & 1);
      }
    }
    expect(sha256(narrow(probes))).toBe(sha256(expected));
    const negated = narrow(probes.map((x) => -x));
    expect(sha256(negated)).toBe(sha256(expected.map((h) => h | 0x8000)));
  });

  it("keeps a NaN whose payload sits in the bits that are cut off", () => {
    const wide = new Float32Array(2);
    bits(wide).set([0x7f800001, 0xff800001]);
    const narrow2 = narrow(wide);
    expect([...widen(narrow2)].map(Number.isNaN)).toEqual([true, true]);
    expect(narrow2[1]! >>> 15).toBe(1);
  });

  it("writes into the array it is given, at its offset", () => {
    const home = new Float32Array(4);
    const out = home.subarray(1, 3);
    expect(widen(narrow(new Float32Array([1.5, -2])), out)).toBe(out);
    expect([...home]).toEqual([0, 1.5, -2, 0]);
    expect([...widen(narrow(home.subarray(2)))]).toEqual([-2, 0]);
  });

  it("refuses an output of another length", () => {
    expect(() => widen(patterns, new Float32Array(3))).toThrow(FtError);
    expect(() => narrow(new Float32Array(3), new Uint16Array(4))).toThrow("3 values into an array of 4");
  });
});
