import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import koffi from "koffi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type NativeKernels, prototypes } from "../src/native/abi.ts";
import { levels, type NativeLevel } from "../src/native/library.ts";
import { buildNative } from "../tools/build-native.mjs";
import { type Case, cases, multiply, product, strides, upTo } from "./native-products.ts";
import { available, expectWithin, native, property, values } from "./native-support.ts";
import { storages } from "./stored-formats.ts";

interface Library {
  readonly gemm: NativeKernels["gemm"];
  readonly threads: (n: number) => number;
  readonly select: (level: number) => number;
}

const temporary = mkdtempSync(join(tmpdir(), "ft-pairs-test-"));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

const emulated = native ? await build("-O1 -DFT_EMULATE_DOT") : undefined;

/** A library in which the instruction alone is plain C; everything on the way to it is the shipped code. */
async function build(CFLAGS: string): Promise<Library> {
  const { library } = await buildNative({ env: { ...process.env, CFLAGS }, out: temporary });
  const loaded = koffi.load(library);
  return {
    gemm: loaded.func(prototypes.gemm) as unknown as NativeKernels["gemm"],
    threads: loaded.func("int ft_init(int)"),
    select: loaded.func("int ft_select(int)"),
  };
}

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** To the nearest bf16, ties to even: by arithmetic on the value, not on its bits. */
function toBf16(x: number): number {
  const step = 2 ** (Math.floor(Math.log2(Math.abs(x) || 1)) - 7);
  const [low, rest] = [Math.floor(x / step), x / step - Math.floor(x / step)];
  return (rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low) * step;
}

function check(library: Library, storage: (typeof storages)[number], c: Case): void {
  const [lda, ldb, ldc] = strides(c);
  const a = values((c.ta ? c.k : c.m) * lda, 1);
  const weight = storage.make(c.tb ? c.n : c.k, ldb, 2);
  const before = values(c.m * ldc, 3);
  const results = [1, 2, 3].map((threads) => {
    expect(library.threads(threads)).toBe(threads);
    return multiply(library.gemm, c, a, { ...weight, storage: storage.storage }, before, 1);
  });
  for (const other of results.slice(1))
    expect(Buffer.from(other.buffer).equals(Buffer.from(results[0]!.buffer))).toBe(true);
  const thin = c.m <= 8; // stays in f32 where it is a product of dots or of strips
  const [expected, size] = product(c, a.map(toBf16), weight.plain.map(toBf16), before);
  expectWithin(results[0]!, expected, size, thin ? 2 ** -7 : 4e-7);
}

describe.skipIf(!native)("products of bf16", () => {
  it("are rounded to even in this file's own witness", () => {
    expect([1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8, 0.1].map(toBf16)).toEqual([1, 1 + 2 ** -6, -1, 0.10009765625]);
    for (const x of values(1000, 9)) {
      float[0] = toBf16(x);
      expect(bits[0]! % 65536).toBe(0);
    }
  });
  // the last level is the matrix unit, emulated by the best unit there is
  const emulatedLevels = [...available.filter((level) => level !== "amx"), "amx" as const];
  const table = emulatedLevels.flatMap((level) =>
    [{ name: "f32", storage: 0 as const, make: f32 }, ...storages].map((format) => ({ level, ...format })),
  );
  describe.each(table)("of weights in $name, instructions of $level emulated", ({ level, ...format }) => {
    beforeAll(() => void emulated!.select(levels.indexOf(level)));
    it("are exact but for the sum, at odd sizes", () => {
      fc.assert(
        fc.property(cases(upTo(40, 9), upTo(70), upTo(80)), (c) => check(emulated!, format, c)),
        property(80),
      );
    });
    it("over several blocks of K and few rows", () => {
      fc.assert(
        fc.property(cases(upTo(20), upTo(40), upTo(1500, 500)), (c) => check(emulated!, format, c)),
        property(15),
      );
    });
    it("where work is divided over threads", () => {
      fc.assert(
        fc.property(cases(upTo(150, 80), upTo(150, 80), upTo(200, 90)), (c) => check(emulated!, format, c)),
        property(4),
      );
    });
  });
});

function withProducts(level: NativeLevel): boolean {
  return level === "avx512bf16" || level === "amx";
}

function f32(rows: number, ld: number, seed: number) {
  const plain = values(rows * ld, seed);
  return { stored: plain, scales: null, block: 0, plain };
}

describe.skipIf(!native).each(available)("products of bf16 on %s", (level) => {
  beforeAll(() => void native!.select(level));
  it("are refused, and C left alone, or done, as the level has the instruction or not", () => {
    const out = new Float32Array(400).fill(5);
    const a = values(400, 1);
    const code = native!.kernels.gemm(20, 20, 20, a, 20, 0, a, 0, null, 0, 20, 1, out, 20, 1, 0, 1);
    expect(code).toBe(withProducts(level) ? 0 : -2);
    if (code !== 0) expect(out).toEqual(new Float32Array(400).fill(5));
  });
  it.skipIf(!withProducts(level))("agree with f64 in every storage and form", () => {
    const library: Library = { gemm: native!.kernels.gemm, threads: native!.setThreads, select: () => 3 };
    for (const format of [{ name: "f32", storage: 0 as const, make: f32 }, ...storages]) {
      fc.assert(
        fc.property(cases(upTo(60, 9), upTo(90), upTo(80)), (c) => check(library, format, c)),
        property(100),
      );
      fc.assert(
        fc.property(cases(upTo(30), upTo(40), upTo(1500, 500)), (c) => check(library, format, c)),
        property(20),
      );
    }
  });
});
