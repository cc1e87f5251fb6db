import { expect, it } from "vitest";
import { collect } from "./collect.ts";

it("frees an array that nobody holds before it returns", async () => {
  const before = process.memoryUsage().arrayBuffers;
  (() => new ArrayBuffer(2 ** 28))();
  expect(process.memoryUsage().arrayBuffers - before).toBeGreaterThan(2 ** 27);
  collect();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 27);
});
