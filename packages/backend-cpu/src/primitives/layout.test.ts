import { FtError, P, Temps, tensor } from "@ft/tensor";
import { embedding } from "@ft/tensor/ops";
import { expect, it } from "vitest";
import { createCpuBackend } from "../cpu-backend.ts";

it("names the id that a table does not have, with and without native kernels", async () => {
  for (const native of [false, true]) {
    const cpu = await createCpuBackend({ native });
    const table = tensor(cpu, "f32", ["vocab", "hidden"], [2, 3], new Float32Array(6));
    for (const id of [2, -1]) {
      const ids = tensor(cpu, "i32", ["seq"], [3], Int32Array.of(0, id, 1));
      expect(() => embedding(table, ids)).toThrow(FtError);
      expect(() => embedding(table, ids)).toThrow(new RegExp(`${id}\\b.*2`));
    }
  }
});

it("keeps the payload of a NaN that is only moved", async () => {
  const cpu = await createCpuBackend({ native: false });
  const bits = new Float32Array(Uint32Array.of(0x7fc12345, 0x3f800000, 0xffc00001, 0).buffer);
  const x = tensor(cpu, "f32", ["a", "b"], [2, 2], bits);
  const temps = new Temps(cpu);
  const p = new P(temps);
  const moved = p.permute(p.concat([p.slice(x.view, 0, 0, 1), p.slice(x.view, 0, 1, 2)], 1), [1, 0]);
  const back = new Uint32Array(await cpu.read(moved.storage.buffer, moved));
  expect([...back]).toEqual([0x7fc12345, 0x3f800000, 0xffc00001, 0]);
  temps.free();
});
