import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createCpuBackend } from "../src/index.ts";
import { prototypes } from "../src/native/abi.ts";
import { openWasm, wasmPlaces } from "../src/wasm/library.ts";
import { overwritten } from "../src/wasm/overwritten.ts";
import { parseSignature } from "../src/wasm/signature.ts";
import { wasm } from "../src/wasm/webassembly.ts";

const bytes = Uint8Array.from(readFileSync(wasmPlaces[1]));
const { kernels } = await openWasm(async () => bytes);

describe("the WASM module", () => {
  it("exports every kernel that is declared, with as many parameters, and imports nothing", async () => {
    const { exports } = await wasm.instantiate(await wasm.compile(bytes));
    for (const prototype of Object.values(prototypes)) {
      const { symbol, parameters } = parseSignature(prototype);
      expect([symbol, Reflect.get(Object(exports[symbol]), "length")]).toEqual([symbol, parameters.length]);
    }
    expect(Object.keys(exports).sort()).toEqual(
      ["ft_begin", "memory", ...Object.keys(prototypes).map((name) => `ft_${name}`)].sort(),
    );
  });

  it("leaves uncopied only arrays that are declared as outputs", () => {
    for (const [name, labels] of Object.entries(overwritten)) {
      const { parameters } = parseSignature(prototypes[name as keyof typeof prototypes]);
      for (const label of labels)
        expect([name, label, parameters.find((p) => p.name === label)?.kind]).toEqual([name, label, "out"]);
    }
  });

  it("works in place, on parts of arrays, and through memory that grows", () => {
    const n = 400_001;
    const all = new Float32Array(n + 8).map((_, i) => Math.fround(Math.sin(i)));
    const expected = all.map((x, i) => (i >= 4 && i < n + 4 ? x * 3 : x));
    const part = all.subarray(4, n + 4);
    kernels.scale_f32(3, part, part, n);
    expect(Buffer.from(all.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
    const y = Float32Array.of(1, 2, 3);
    kernels.axpy_f32(2, y, y, 3);
    kernels.axpy_f32(2, Float32Array.of(1, 1, 1), y, 3);
    expect(y).toEqual(Float32Array.of(5, 8, 11));
  });

  it("keeps what lies between the rows of a product's result", () => {
    const c = new Float32Array(6).fill(7);
    kernels.gemm_f32(2, 2, 1, Float32Array.of(1, 2), 1, 0, Float32Array.of(3, 4), 2, 0, c, 3, 1, 0);
    expect(c).toEqual(Float32Array.of(3, 4, 7, 6, 8, 7));
  });

  it("gives int64 results as numbers", () => {
    const [table, out] = [Float32Array.of(1, 2, 3), new Float32Array(2)];
    expect(kernels.embedding(table, 0, null, 0, 3, Int32Array.of(2, 0), 2, 1, out)).toBe(-1);
    expect(out).toEqual(Float32Array.of(3, 1));
    expect(kernels.embedding(table, 0, null, 0, 3, Int32Array.of(2, 5), 2, 1, out)).toBe(1);
  });

  it("has sine and cosine to the last place, at any position", () => {
    const positions = Int32Array.from({ length: 400 }, (_, i) => (i < 200 ? i : i * 5230));
    const frequencies = Float32Array.of(1, 0.333, 0.0123);
    const ones = new Float32Array(positions.length * 6).map((_, i) => (i % 6 < 3 ? 1 : 0));
    const out = new Float32Array(ones.length);
    kernels.rope(ones, positions, frequencies, positions.length, 1, 6, 1, out);
    const exact = Float64Array.from(out, (_, i) => {
      const angle = Math.fround(positions[Math.floor(i / 6)]! * frequencies[i % 3]!);
      return i % 6 < 3 ? Math.cos(angle) : Math.sin(angle);
    });
    // half a unit of f32 in [0.5, 1)
    for (const [i, x] of exact.entries()) expect(Math.abs(out[i]! - x)).toBeLessThanOrEqual(2 ** -25);
  });

  it("reports work arrays beyond 4 GiB as memory that there is not", () => {
    const [rows, vocab] = [40_000, 30_000];
    const [x, w, targets] = [new Float32Array(rows), new Float32Array(vocab), new Int32Array(rows)];
    const [loss, count] = [new Float64Array(1), new Float64Array(1)];
    const run = (n: number): number =>
      kernels.cross_entropy(x, w, 0, null, 0, 0, targets, n, 1, vocab, n, loss, count, null, null);
    expect(run(rows)).toBe(-1);
    expect(run(2)).toBe(0);
    expect(loss[0]! / 2).toBeCloseTo(Math.log(vocab), 6);
  });
});

describe("createCpuBackend", () => {
  it("takes the engine that it is told to", async () => {
    const made = await createCpuBackend({ engine: "wasm", threads: 2 });
    expect([made.engine, made.native, made.threads]).toEqual(["wasm", false, 1]);
    expect((await createCpuBackend({ native: false })).engine).toBe("loops");
    await expect(createCpuBackend({ engine: "wasm", compute: "bf16" })).rejects.toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining("wasm") }),
    );
  });
});
