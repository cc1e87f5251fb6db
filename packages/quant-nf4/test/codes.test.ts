import { type Backend, type DataOf, f32ToBf16, f32ToF16, memory } from "@ft/tensor";
import { dequantize8bit } from "@ft/tensor/ops";
import { beforeAll, describe, expect, it } from "vitest";
import { meanAbsmax, Nf4Linear, nestAbsmax, quantizeTo4bit } from "../src/index.ts";
import { backends, digest, dtypes, expectBytes, goldens, held, input, take } from "./support.ts";

/*
 * Against bitsandbytes' CUDA kernels on an H100: every element of every tensor, no tolerance. Kinds: normal, uniform,
 * zeros, the largest and smallest magnitudes of each dtype, values on and beside every bound of the codes, odd counts.
 */

const { json, quant, inputs } = goldens;
const kinds = ["normal", "uniform", "zeros", "allzeros", "largest", "bounds", "near", "tiny"];
const names = [
  ...kinds.map((kind) => [kind, kind, undefined] as const),
  ...json.oddCounts.map((count: number) => [`normal${count}`, "normal", count] as const),
];
const cases = names.flatMap(([name, kind, count]) =>
  dtypes.map((dtype) => ({ name: `${name}.${dtype}`, from: `${kind}.${dtype}`, count })),
);

/** Where the f32 sum of bitsandbytes' mean is infinite, and with it everything nested. */
const infinite: string[] = [];
for (const { name } of cases)
  for (const blockSize of json.blocks) {
    const [offset] = await quant.read(`${name}.${blockSize}.nested.offset`, "f32");
    if (!Number.isFinite(offset)) infinite.push(`${name}.${blockSize}`);
  }

/** Decoded values as kernels without subnormal numbers have them; here they are what they are. */
async function flushed(linear: Nf4Linear, dtype: (typeof dtypes)[number]): Promise<DataOf["f32" | "bf16"]> {
  const values = (await take(linear.materialize("f32"))).map((x) => (Math.abs(x) < 2 ** -126 ? 0 * x : x));
  return dtype === "f32" ? values : dtype === "bf16" ? f32ToBf16(values) : f32ToF16(values);
}

it("leaves out no nested statistics but those of magnitudes near the end of f32", () => {
  expect(infinite.every((at) => /^largest\.(f32|bf16)\./.test(at))).toBe(true);
});

it("covers every golden input of the 4-bit formats", () => {
  const covered = new Set(cases.map(({ from }) => from));
  const all = [...inputs.tensors.keys()].filter((name) => !/^(int8|eight)\./.test(name));
  expect(all.filter((name) => !covered.has(name))).toEqual([]);
  expect(json.device).toContain("NVIDIA");
});

describe.each(backends)("4-bit codes on %s", (_, make) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await make();
  });

  it.each(cases)("$name: codes, absmax and decoded values are bitsandbytes' bytes", async ({ name, from, count }) => {
    const [dtype, data] = await input(from, count);
    for (const blockSize of json.blocks)
      for (const type of json.types) {
        const format = { type, blockSize, doubleQuant: false };
        const linear = await quantizeTo4bit(backend, held(name, dtype, data), format);
        const at = `${name}.${blockSize}`;
        expectBytes(await linear.weight.codes.read(), await quant.read(`${at}.${type}`, "u8"), `${at}.${type}`);
        expectBytes(await take(linear.absmax()), await quant.read(`${at}.absmax`, "f32"), `${at}.absmax`);
        for (const to of dtypes) {
          const decoded = from.startsWith("tiny.") ? await flushed(linear, to) : await take(linear.materialize(to));
          expect(digest(decoded), `${at}.${type} in ${to}`).toBe(json.fourBit[`${at}.${type}.${to}`]);
        }
        linear.dispose();
      }
  });

  it.each(cases)("$name: nested statistics are bitsandbytes' bytes given its offset", async ({ name, from, count }) => {
    const [dtype, data] = await input(from, count);
    const before = memory(backend).live;
    for (const blockSize of json.blocks) {
      const at = `${name}.${blockSize}`;
      if (infinite.includes(at)) continue;
      const absmax = await quant.read(`${at}.absmax`, "f32");
      const [offset] = await quant.read(`${at}.nested.offset`, "f32");
      const nested = nestAbsmax(backend, absmax, offset!);
      expectBytes(await nested.absmax.read(), await quant.read(`${at}.nested.codes`, "u8"), `${at}.nested.codes`);
      expectBytes(
        await nested.nestedAbsmax.read(),
        await quant.read(`${at}.nested.absmax`, "f32"),
        `${at}.nested.absmax`,
      );
      const back = dequantize8bit(nested.absmax, nested.nestedAbsmax, { map: "dynamic", offset: nested.offset });
      expect(digest(await take(back)), `${at}.nested.back`).toBe(json.fourBit[`${at}.nested.back`]);
      for (const type of json.types) {
        const plain = await quantizeTo4bit(backend, held(name, dtype, data), { type, blockSize, doubleQuant: false });
        const { absmax: first, ...weight } = plain.weight;
        first.dispose();
        const linear = new Nf4Linear({ ...weight, ...nested }, plain.facts);
        const decoded = from.startsWith("tiny.") ? await flushed(linear, dtype) : await take(linear.materialize(dtype));
        expect(digest(decoded), `${at}.${type}.nested`).toBe(json.fourBit[`${at}.${type}.nested`]);
        weight.codes.dispose();
      }
      for (const x of Object.values(nested)) x.dispose();
    }
    expect(memory(backend).live).toBe(before);
  });
});

it("has bitsandbytes' offset to 2 units in the last place", async () => {
  let most = 0;
  for (const { name } of cases)
    for (const blockSize of json.blocks) {
      if (infinite.includes(`${name}.${blockSize}`)) continue;
      const own = meanAbsmax(await quant.read(`${name}.${blockSize}.absmax`, "f32"));
      const [offset] = await quant.read(`${name}.${blockSize}.nested.offset`, "f32");
      const [a, b] = new Int32Array(Float32Array.of(own, offset!).buffer);
      most = Math.max(most, Math.abs(a! - b!));
    }
  expect(most).toBeLessThanOrEqual(2);
});
