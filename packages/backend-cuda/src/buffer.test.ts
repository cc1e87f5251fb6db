import type { PrimitiveKernels, View } from "@ft/tensor";
import { expect, it } from "vitest";
import { forgetting, partOf, remember } from "./buffer.ts";
import type { CudaBuffer } from "./context.ts";

it("keeps integers that the host wrote, until a primitive writes over them", () => {
  const buffer: CudaBuffer = { address: 512n, bytes: 12 };
  const spec = { dtype: "i32", shape: [3] } as const;
  const ids = Int32Array.of(1, 2, 3);
  remember(buffer, spec, ids);
  ids[0] = 9;
  expect(buffer.host).toEqual(Int32Array.of(1, 2, 3));
  remember(buffer, { dtype: "f32", shape: [3] }, new Float32Array(3));
  expect(buffer.host).toBeUndefined();

  remember(buffer, spec, ids);
  const table = forgetting({ iota: () => {} } as unknown as PrimitiveKernels<CudaBuffer>);
  table.iota({}, {}, { ...spec, storage: { buffer } } as unknown as View<CudaBuffer>);
  expect(buffer.host).toBeUndefined();
});

it("is the same memory in part", () => {
  expect(partOf({ address: 512n, bytes: 64 }, { dtype: "bf16", shape: [32] }, 3, 4)).toEqual({
    address: 518n,
    bytes: 8,
  });
});
