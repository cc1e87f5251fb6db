import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "@ft/tensor";
import { approximateReciprocal, dynamicMap, maps8bit } from "@ft/tensor/ops";
import { beforeAll, describe, expect, it } from "vitest";
import { available, native, sameOnThreads, values } from "./native-support.ts";
import { codeValues } from "./stored-formats.ts";

/* Codes as bitsandbytes' CUDA kernels find them: trees of strict comparisons, walked one value at a time. */

// f32 of the literals in bitsandbytes' source; through a double four of them would round to the other side
const nf4Tree = [
  -0.8480964303016663, -0.6106328964233398, -0.4599952697753906, -0.33967941999435425, -0.23460739850997925,
  -0.13791173696517944, -0.045525018125772476, 0.03979014977812767, 0.1202552542090416, 0.2035212516784668,
  0.2920137643814087, 0.3893125355243683, 0.5016633868217468, 0.6427869200706482, 0.8614783883094788,
];

const least = 2 ** -126;

function nf4Code(x: number): number {
  let code = 0;
  for (let step = 8; step >= 1; step /= 2) if (x > nf4Tree[code + step - 1]!) code += step;
  return code;
}

function fp4Code(x: number): number {
  const at = (bound: number): boolean => Math.abs(x) > Math.fround(bound);
  const sign = x <= -least ? 8 : 0;
  if (at(0.29166667)) {
    if (at(0.583333)) return sign + (at(0.8333333) ? 3 : 2);
    return sign + (at(0.4166667) ? 5 : 4);
  }
  if (at(0.0859375)) return sign + (at(0.20833333) ? 7 : 6);
  return sign + (at(0.00260417) ? 1 : 0);
}

/** Seven steps down a tree of 255 nodes to an even leaf; then the leaf or its neighbour, whichever is nearer. */
function treeCode(map: Float32Array, x: number): number {
  let [pivot, lower, upper] = [127, 0, 255];
  for (let step = 64; step >= 1; step /= 2) {
    if (x > map[pivot]!) {
      lower = pivot;
      pivot += step;
    } else {
      upper = pivot;
      pivot -= step;
    }
  }
  const middle = (other: number): number => Math.fround(Math.fround(map[other]! + map[pivot]!) * 0.5);
  if (x > map[pivot]!) return x > middle(upper) ? upper : pivot;
  return x < middle(lower) ? lower : pivot;
}

/** Zeros of both signs, a block of zeros, ties and values on bounds among ordinary ones. */
function uneven(n: number, seed: number, bounds: readonly number[]): Float32Array {
  // blocks of ordinary size, at the ends of f32, and with every mantissa of ten bits as their largest
  const x = values(n, seed, 3).map((e, i) => e * [1, 2 ** -127, 2 ** -121, 2 ** 126][Math.floor(i / 700) % 4]!);
  for (let i = 0; i < n; i += 64) if (Math.abs(x[i]!) < 8) x[i] = 4 + ((i / 64) % 1024) / 256;
  for (let i = 5; i < n; i += 11) x[i] = [0, -0, 3, -3, ...bounds.map((b) => 3 * b)][i % (4 + bounds.length)]!;
  if (n > 700) x.fill(0, 64, 256 + 64);
  return x;
}

function absmaxOf(x: Float32Array, block: number): Float32Array {
  const maxima = new Float32Array(Math.ceil(x.length / block));
  for (const [i, value] of x.entries()) {
    const at = Math.floor(i / block);
    maxima[at] = Math.max(maxima[at]!, Math.abs(flushed(value)));
  }
  return maxima;
}

const flushed = (x: number): number => (Math.abs(x) < least ? 0 : x);
const inverses = new Map<number, number>();
function scaled(x: number, absmax: number): number {
  const inverse = inverses.get(absmax) ?? approximateReciprocal(absmax);
  inverses.set(absmax, inverse);
  return Math.fround(flushed(x) * inverse);
}
const narrow = {
  f32: [0, (x: Float32Array) => x, (x: Float32Array) => x],
  bf16: [1, f32ToBf16, bf16ToF32],
  f16: [2, f32ToF16, f16ToF32],
} as const;
const dtypes = ["f32", "bf16", "f16"] as const;

describe.skipIf(!native).each(available)("quantisers on %s", (level) => {
  const k = native!.kernels;
  beforeAll(() => void native!.select(level));

  it.each(dtypes.flatMap((dtype) => (["nf4", "fp4"] as const).map((type) => ({ dtype, type }))))(
    "$type codes of $dtype are those of the tree, and decode to table times absmax",
    ({ dtype, type }) => {
      const [storage, pack, widen] = narrow[dtype];
      const [kind, code] = type === "nf4" ? ([4, nf4Code] as const) : ([5, fp4Code] as const);
      for (const block of [32, 64, 256, 4096])
        for (const n of [1, 2, 31, 63, 64, 65, 1000, 4097, 70_001]) {
          const stored = pack(uneven(n, n + block, nf4Tree));
          const x = widen(stored as Float32Array & Uint16Array);
          const absmax = absmaxOf(x, block);
          const each = Array.from(x, (value, i) => code(scaled(value, absmax[Math.floor(i / block)]!)));
          if (n % 2) each.push(code(scaled(0, absmax.at(-1)!)));
          const packed = Uint8Array.from({ length: each.length / 2 }, (_, i) => each[2 * i]! * 16 + each[2 * i + 1]!);
          const decoded = pack(x.map((_, i) => codeValues[type][each[i]!]! * absmax[Math.floor(i / block)]!));
          sameOnThreads(() => {
            const [codes, maxima] = [new Uint8Array(packed.length).fill(7), new Float32Array(absmax.length)];
            expect(k.quantize_4bit(stored, storage, n, kind, block, codes, maxima)).toBe(0);
            expect(maxima).toEqual(absmax);
            const wrong = codes.findIndex((c, i) => c !== packed[i]);
            expect([n, block, wrong, codes[wrong], packed[wrong]]).toEqual([n, block, -1, undefined, undefined]);
            const out = stored.slice().fill(1);
            expect(k.dequantize_4bit(codes, kind, maxima, block, n, out, storage)).toBe(0);
            expect(Buffer.from(out.buffer).equals(Buffer.from(decoded.buffer))).toBe(true);
            return [maxima];
          });
        }
    },
  );

  it("4-bit kinds, blocks and storages that there are not are refused, and nothing is written", () => {
    const [x, codes, maxima] = [values(64, 1), new Uint8Array(32).fill(9), new Float32Array(8).fill(9)];
    const bad = [
      [0, 3, 64],
      [0, 6, 64],
      [3, 4, 64],
      [-1, 4, 64],
      [0, 4, 0],
      [0, 4, 48],
      [0, 4, 8192],
    ] as unknown as [0, 4, number][];
    for (const [storage, kind, block] of bad) {
      expect(k.quantize_4bit(x, storage, 64, kind, block, codes, maxima)).toBe(-2);
      expect(k.dequantize_4bit(codes, kind, maxima, block, 64, x, storage)).toBe(-2);
    }
    expect([codes.every((e) => e === 9), maxima.every((e) => e === 9), x]).toEqual([true, true, values(64, 1)]);
  });

  it.each(["dynamic", "udynamic"] as const)("8-bit codes of the %s map are those of the tree", (name) => {
    const map = maps8bit[name];
    // every value of the map, every middle of neighbours, and the numbers next to it
    const bounds = Array.from({ length: 255 }, (_, i) => Math.fround(Math.fround(map[i]! + map[i + 1]!) / 2));
    const next = bounds.flatMap((b) => [b, Math.fround(b * (1 + 2 ** -23)), Math.fround(b * (1 - 2 ** -23))]);
    for (const block of [64, 100, 256, 4096])
      for (const n of [1, 255, 256, 1023, 34_001]) {
        const x = uneven(n, n, []);
        for (let i = 0; i < n; i++) if (i % 3) x[i] = [...map, ...next][i % (256 + next.length)]!;
        for (let i = 0; i < n; i += block) x[i] = 1; // so that values stay where they are
        if (name === "udynamic") for (let i = 0; i < n; i++) x[i] = Math.abs(x[i]!);
        const absmax = absmaxOf(x, block);
        const codes = Uint8Array.from(x, (e, i) => treeCode(map, scaled(e, absmax[Math.floor(i / block)]!)));
        const decoded = Float32Array.from(codes, (c, i) => map[c]! * absmax[Math.floor(i / block)]!);
        sameOnThreads(() => {
          const [got, maxima, out] = [new Uint8Array(n), new Float32Array(absmax.length), new Float32Array(n)];
          k.quantize_8bit(x, n, map, block, 0, got, maxima);
          expect(maxima).toEqual(absmax);
          expect(Buffer.from(got).equals(codes)).toBe(true);
          k.dequantize_8bit(got, n, map, maxima, block, null, out);
          expect(Buffer.from(out.buffer).equals(Buffer.from(decoded.buffer))).toBe(true);
          k.dequantize_8bit(got, n, map, maxima, block, Float32Array.of(0.7), out);
          const moved = decoded.map((e) => e + Math.fround(0.7));
          expect(Buffer.from(out.buffer).equals(Buffer.from(moved.buffer))).toBe(true);
          return [maxima];
        });
      }
  });

  it("8-bit codes of maps that are denser than numbers, or start at 0, count all bounds", () => {
    const dense = Float32Array.from({ length: 256 }, (_, i) => 0.5 + (i - 128) * 2 ** -20);
    const around = Float32Array.from({ length: 256 }, (_, i) => (i - 128) / 128);
    for (const map of [dense, around]) {
      const x = Float32Array.from({ length: 5000 }, (_, i) => map[0]! + ((map[255]! - map[0]!) * i) / 4999);
      for (let i = 0; i < x.length; i += 50) x[i] = 1;
      const [codes, maxima] = [new Uint8Array(x.length), new Float32Array(100)];
      k.quantize_8bit(x, x.length, map, 50, 0, codes, maxima);
      expect(codes).toEqual(Uint8Array.from(x, (e) => treeCode(map, e)));
    }
  });

  it("sameSign moves a code whose value has another sign than what it stands for", () => {
    const n = 4096 + 17;
    const x = values(n, 3);
    for (let i = 0; i < n; i += 2) x[i]! *= 1e-8; // below the least value of the map: code 127, which is 0
    x[7] = -0;
    x[9] = 0;
    x.fill(0, 256, 512); // a block of zeros wraps around
    const absmax = absmaxOf(x, 256);
    const codes = Uint8Array.from(x, (e, i) => {
      const code = treeCode(dynamicMap, scaled(e, absmax[Math.floor(i / 256)]!));
      const sign = (y: number): boolean => y < 0 || Object.is(y, -0);
      return sign(dynamicMap[code]!) === sign(e) ? code : code + (e > 0 ? 1 : -1);
    });
    expect(codes[256]).toBe(255);
    expect(codes.some((c) => c === 126)).toBe(true);
    sameOnThreads(() => {
      const [got, maxima] = [new Uint8Array(n), new Float32Array(absmax.length)];
      k.quantize_8bit(x, n, dynamicMap, 256, 1, got, maxima);
      expect(Buffer.from(got).equals(codes)).toBe(true);
      return [maxima];
    });
  });
});
