import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import {
  type Backend,
  type DataOf,
  type DType,
  dataOf,
  type FloatDType,
  f32ToBf16,
  f32ToF16,
  memory,
  windowElements,
} from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { expectFtError, goldenPath, temporaryFolder } from "../test/fixtures.ts";
import { openGguf } from "./gguf.ts";
import { loadTensor } from "./load-tensor.ts";
import { openSafetensors } from "./safetensors.ts";
import { writeSafetensors } from "./write-safetensors.ts";

/* Backends of memory that is not the host's take a tensor in pieces: a CPU backend that does not take host arrays over. */

/** The most that a write hands over at once is noted. */
async function foreign(): Promise<{ readonly backend: Backend; readonly largest: () => number }> {
  const { adopt: _, ...cpu } = await createCpuBackend({ engine: "loops", poison: true });
  let largest = 0;
  const write: typeof cpu.write = (buffer, spec, data) => {
    largest = Math.max(largest, data.length);
    cpu.write(buffer, spec, data);
  };
  return { backend: { ...cpu, write }, largest: () => largest };
}

const count = 2 * windowElements + 3;
// halfway between two of bf16, which rounds to the even one, and everything beside it
const values = Float32Array.from({ length: 1000 }, (_, i) => (i - 500) * (1 + 2 ** -8));
const repeated = <D extends DType>(dtype: D, piece: DataOf[D]): DataOf[D] => {
  const whole = dataOf[dtype](new ArrayBuffer(count * piece.BYTES_PER_ELEMENT));
  for (let i = 0; i < count; i++) whole[i] = piece[i % piece.length]!;
  return whole;
};

describe("a tensor in pieces", () => {
  it("has the bytes that it has in one piece, whatever it is stored as and held in", async () => {
    const file = join(await temporaryFolder(), "model.safetensors");
    const stored = {
      f32: values,
      bf16: f32ToBf16(values),
      f16: f32ToF16(values),
      f64: Float64Array.from(values, (x) => x * (1 + 2 ** -30)),
    };
    await writeSafetensors(
      file,
      (["f32", "bf16", "f16", "f64"] as const).map((dtype) => ({
        ...{ name: dtype, dtype, shape: [count] },
        data: () => repeated<FloatDType>(dtype, stored[dtype]),
      })),
    );
    const { backend, largest } = await foreign();
    const whole = await createCpuBackend({ engine: "loops" });
    await using source = await openSafetensors(file);
    for (const name of source.tensors.keys())
      for (const dtype of ["f32", "bf16", "f16"] as const) {
        using want = await loadTensor(source, name, whole, { dtype, axes: ["x"] });
        using got = await loadTensor(source, name, backend, { dtype, axes: ["x"], shape: [count] });
        expect([got.dtype, got.axes, got.shape]).toEqual([dtype, ["x"], [count]]);
        const [a, b] = [await got.read(), await want.read()];
        expect(Buffer.from(a.buffer).equals(Buffer.from(b.buffer)), `${name} as ${dtype}`).toBe(true);
      }
    expect(largest()).toBe(windowElements);
    expect(memory(backend).live).toBe(0);
  });

  it("is in one piece where it is transformed on the way, and of blocks of GGUF", async () => {
    const { backend } = await foreign();
    await using source = await openGguf(goldenPath("gguf-quants/tiny.gguf"));
    const axes = ["out", "in"] as const;
    using plain = await loadTensor(source, "q4_0.weight", backend, { dtype: "f32", axes });
    expect(await plain.read()).toEqual(await source.read("q4_0.weight", "f32"));
    using narrow = await loadTensor(source, "q4_0.weight", backend, { dtype: "bf16", axes });
    expect(await narrow.read()).toEqual(await source.read("q4_0.weight", "bf16"));
    using double = await loadTensor(source, "q4_0.weight", backend, {
      ...{ dtype: "f32", axes },
      transform: (data) => data.map((x) => 2 * x),
    });
    expect(await double.read()).toEqual((await source.read("q4_0.weight", "f32")).map((x) => 2 * x));
  });

  it("leaves nothing behind when the file ends early, and says what is missing", async () => {
    const file = join(await temporaryFolder(), "model.safetensors");
    const entry = { name: "w", dtype: "bf16", shape: [count], data: () => new Uint16Array(count) } as const;
    await writeSafetensors(file, [entry]);
    const { backend } = await foreign();
    await using source = await openSafetensors(file);
    await truncate(file, 2 * windowElements + 1000);
    await expectFtError(loadTensor(source, "w", backend, { dtype: "bf16", axes: ["x"] }), "io", /ended at byte/);
    await expectFtError(loadTensor(source, "v", backend, { dtype: "bf16", axes: ["x"] }), "missing", /no tensor "v"/);
    expect(memory(backend).live).toBe(0);
  });
});
