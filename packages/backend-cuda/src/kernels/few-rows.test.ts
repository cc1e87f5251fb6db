import { expect, it } from "vitest";
import type { CudaContext } from "../context.ts";
import { type FewRows, fewRows } from "./few-rows.ts";

const token: FewRows = { dtype: "bf16", m: 1, n: 1027, k: 4096, x: 256n, weight: 512n, y: 770n, beta: 0 };

function launches(of: Partial<FewRows>): unknown[][] {
  const launched: unknown[][] = [];
  const context = { launch: (...call: unknown[]) => launched.push(call) } as unknown as CudaContext;
  expect(fewRows(context, { ...token, ...of })).toBe(launched.length === 1);
  return launched;
}

it("takes a block for every eight columns", () => {
  expect(launches({})).toEqual([["few_rows_bf16", 129, 256, [256n, 512n, 1, 1027, 4096, 0, 770n]]]);
  expect(launches({ dtype: "f16", m: 8, beta: 1 })[0]?.[0]).toBe("few_rows_f16");
});

it("leaves the rest to the library: more rows, single floats, and what cannot be read 16 bytes at a time", () => {
  for (const other of [{ m: 9 }, { m: 0 }, { dtype: "f32" }, { k: 4100 }, { k: 0 }, { x: 258n }, { weight: 520n }])
    expect(launches(other)).toEqual([]);
});
