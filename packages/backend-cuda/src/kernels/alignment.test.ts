import { expect, it } from "vitest";
import { aligned, chunkOf } from "./alignment.ts";

it("moves 16 bytes of the widest dtype", () => {
  expect(chunkOf("bf16")).toBe(8);
  expect(chunkOf("bf16", "f32")).toBe(4);
});

it("moves them only where all arrays begin at a multiple of 16 bytes", () => {
  expect(aligned(256n, undefined, 32n)).toBe(1);
  expect(aligned(256n, 34n)).toBe(0);
});
