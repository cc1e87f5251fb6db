import { memory, P, Temps } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { BufferPool } from "./buffer.ts";
import { createCpuBackend } from "./cpu-backend.ts";

describe("BufferPool", () => {
  it("hands a freed buffer to the next of its class and length, and to no other", () => {
    const pool = new BufferPool(false);
    const first = pool.take({ dtype: "bf16", shape: [2, 3] });
    pool.give(first);
    expect(pool.take({ dtype: "bf16", shape: [7] })).not.toBe(first);
    expect(pool.take({ dtype: "f32", shape: [6] })).not.toBe(first);
    expect(pool.take({ dtype: "f16", shape: [6] })).toBe(first);
    expect(pool.take({ dtype: "f16", shape: [6] })).not.toBe(first);
  });

  it("takes a longer buffer of the class where the length is missing, of at most twice its size, and gives it back whole", () => {
    const pool = new BufferPool(false);
    const [long, longer] = [10, 12].map((n) => pool.take({ dtype: "f32", shape: [n] }));
    pool.give(longer!);
    pool.give(long!);
    expect(pool.take({ dtype: "f32", shape: [4] }).buffer.byteLength).toBe(16);
    const short = pool.take({ dtype: "f32", shape: [5] });
    expect(short.length).toBe(5);
    expect(short.buffer).toBe(long!.buffer);
    expect(pool.take({ dtype: "i32", shape: [12] }).buffer).not.toBe(longer!.buffer);
    pool.give(short);
    expect(pool.idleBytes).toBe(88);
    expect(pool.take({ dtype: "f32", shape: [10] }).buffer).toBe(long!.buffer);
    expect(pool.made).toBe(4);
  });

  it("gives every buffer memory of its own", () => {
    const pool = new BufferPool(false);
    const [a, b] = [pool.take({ dtype: "f32", shape: [2] }), pool.take({ dtype: "f32", shape: [2] })];
    expect(a.buffer).not.toBe(b.buffer);
    expect(a.buffer.byteLength).toBe(8);
  });

  it("keeps no more idle than was ever alive, and drops what is longest unused first", () => {
    const pool = new BufferPool(false);
    const sizes = [100, 10, 20, 30];
    for (const n of sizes) {
      const buffer = pool.take({ dtype: "u8", shape: [n] });
      pool.give(buffer);
      expect(pool.idleBytes).toBeLessThanOrEqual(100);
    }
    expect(pool.idleBytes).toBe(60); // the 100 had to go when 10, 20 and 30 came
    pool.clear();
    expect(pool.idleBytes).toBe(0);
  });

  it("adopts an array with all of its memory, and copies one that is part of more or is small", () => {
    const pool = new BufferPool(false);
    const whole = new Float32Array(300).fill(2);
    expect(pool.adopt({ dtype: "f32", shape: [300] }, whole)).toBe(whole);
    const part = new Float32Array(600).fill(3).subarray(0, 300);
    const copy = pool.adopt({ dtype: "f32", shape: [300] }, part);
    expect(copy).not.toBe(part);
    expect(copy).toEqual(part);
    expect(pool.adopt({ dtype: "f32", shape: [2] }, whole.slice(0, 2))).toEqual(whole.slice(0, 2));
    pool.give(whole);
    expect(pool.idleBytes).toBe(1200);
    expect(pool.take({ dtype: "f32", shape: [300] })).toBe(whole);
  });

  it("asks for a collection once much was let go, when something new is made", () => {
    let collections = 0;
    const pool = new BufferPool(false, undefined, () => collections++);
    const large = { dtype: "u8", shape: [2 ** 29] } as const;
    pool.give(pool.take(large));
    // the largest live size was 2^29: beside one of 2^28 + 1 that is live, the idle one has to go
    const other = pool.take({ dtype: "f32", shape: [2 ** 26 + 1] });
    expect(pool.idleBytes).toBe(0);
    expect(collections).toBe(0);
    pool.take({ dtype: "f32", shape: [2] });
    expect(collections).toBe(1);
    pool.give(other);
    pool.take({ dtype: "f32", shape: [3] });
    expect(collections).toBe(1);
  });

  it("poisons fresh and reused buffers", () => {
    const pool = new BufferPool(true);
    for (let round = 0; round < 2; round++) {
      const [f, h, i] = (["f64", "f16", "i8"] as const).map((dtype) => pool.take({ dtype, shape: [3] }));
      expect([...f!]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
      expect([...h!]).toEqual([0x7fff, 0x7fff, 0x7fff]);
      expect([...i!]).toEqual([0x7f, 0x7f, 0x7f]);
      for (const buffer of [f!, h!, i!]) {
        buffer.fill(0);
        pool.give(buffer);
      }
    }
  });
});

it("lets idle buffers go rather than hold much more than was ever in use", () => {
  const pool = new BufferPool(false);
  const of = (dtype: "u8" | "i8" | "f32", mebi: number) =>
    ({ dtype, shape: [(mebi * 2 ** 20) / (dtype === "f32" ? 4 : 1)] }) as const;
  // 200 MiB in use at most, and 64 MiB of slack
  pool.give(pool.take(of("u8", 200)));
  const held = pool.take(of("i8", 150));
  expect(pool.idleBytes).toBe(0);
  pool.give(held);
  pool.take(of("f32", 100));
  expect(pool.idleBytes).toBe(150 * 2 ** 20);
});

it("keeps no more for reuse while arrays from outside come and go", () => {
  const pool = new BufferPool(false);
  const spec = { dtype: "bf16", shape: [4096] } as const;
  const weight = pool.take({ dtype: "f32", shape: [1 << 20] });
  for (let i = 0; i < 5; i++) pool.give(pool.adopt(spec, new Uint16Array(4096)));
  expect(pool.idleBytes).toBe(2 * 4096);
  pool.give(weight);
});

it("takes nothing new in the second of two equal steps", async () => {
  const cpu = await createCpuBackend({ native: false });
  const seen = new Set<unknown>();
  let fresh = 0;
  const alloc: typeof cpu.alloc = (spec) => {
    const buffer = cpu.alloc(spec);
    if (!seen.has(buffer)) fresh++;
    seen.add(buffer);
    return buffer;
  };
  const watched = { ...cpu, alloc };
  const step = (): void => {
    const temps = new Temps(watched);
    const p = new P(temps);
    const x = p.fill({ dtype: "f32", shape: [4, 5] }, 2);
    p.sum(p.mul(p.exp(x), x), -1);
    temps.free();
  };
  step();
  expect(fresh).toBe(4);
  step();
  expect(fresh).toBe(4);
  expect(memory(watched).live).toBe(0);
});
