import { FtError } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import type { Product } from "../context.ts";
import { fakeLibrary, productOf } from "./fake-library.ts";
import { alignmentOf, makePlan, planKey } from "./plan.ts";

const product = productOf("bf16");
const layoutsOf = (of: Product): string[] => {
  const { lt, said } = fakeLibrary();
  makePlan(lt, 1n, of, 4096, 1);
  return said.filter((line) => line.startsWith("layout") || line.startsWith("product"));
};

describe("plans of products", () => {
  it("asks for the transposed product, b first, with sums in f32 and bf16 as the library numbers it", () => {
    expect(layoutsOf(product)).toEqual([
      "product compute 68 scale 0",
      "product 3 = 0",
      "product 4 = 0",
      "layout type 14: 3 x 7, ld 3",
      "layout type 14: 7 x 5, ld 7",
      "layout type 0: 3 x 5, ld 3",
    ]);
  });

  it("gives a transposed operand the layout that it has in memory", () => {
    const { a, b } = product;
    const turned = { ...product, a: { ...a, ld: 5, transposed: true }, b: { ...b, ld: 7, transposed: true } };
    expect(layoutsOf(turned)).toEqual([
      "product compute 68 scale 0",
      "product 3 = 1",
      "product 4 = 1",
      "layout type 14: 7 x 3, ld 7",
      "layout type 14: 5 x 7, ld 5",
      "layout type 0: 3 x 5, ld 3",
    ]);
  });

  it("computes f64 in f64", () => {
    const { a, b, out } = product;
    const wide: Product = {
      ...product,
      a: { ...a, dtype: "f64" },
      b: { ...b, dtype: "f64" },
      out: { ...out, dtype: "f64" },
    };
    expect(layoutsOf(wide)[0]).toBe("product compute 70 scale 1");
  });

  it("sets count and stride of a batch, 0 for a matrix that all share", () => {
    const { a, b, out } = product;
    const batched = { ...product, batch: 4, a: { ...a, stride: 35 }, b, out: { ...out, stride: 15 } };
    expect(layoutsOf(batched).filter((line) => line.includes("="))).toEqual([
      "product 3 = 0",
      "product 4 = 0",
      "layout 5 = 4",
      "layout 6 = 0",
      "layout 5 = 4",
      "layout 6 = 35",
      "layout 5 = 4",
      "layout 6 = 15",
    ]);
  });

  it("tells the library how addresses are aligned", () => {
    const { lt, said } = fakeLibrary();
    makePlan(lt, 1n, { ...product, a: { ...product.a, at: 258n }, b: { ...product.b, at: 520n } }, 4096, 1);
    expect(said.filter((line) => line.startsWith("preference"))).toEqual([
      "preference 1 = 4096",
      "preference 5 = 8",
      "preference 6 = 2",
      "preference 7 = 256",
      "preference 8 = 256",
    ]);
  });

  it("keeps the algorithms apart, in the library's order", () => {
    const { lt } = fakeLibrary({ algorithms: 3 });
    const { algorithm, algorithms } = makePlan(lt, 1n, product, 4096, 8);
    expect(algorithms.map((one) => [one.length, one[0], one[63]])).toEqual([
      [64, 1, 1],
      [64, 2, 2],
      [64, 3, 3],
    ]);
    expect(algorithm).toBe(algorithms[0]);
  });

  it("names what a status means, and a product that nothing serves", () => {
    expect(() => makePlan(fakeLibrary({ heuristic: 15 }).lt, 1n, product, 4096, 1)).toThrow(
      "a product 5 x 3 x 7 of bf16 to f32: not supported (15)",
    );
    expect(() => makePlan(fakeLibrary({ algorithms: 0 }).lt, 1n, product, 4096, 1)).toThrow("no algorithm");
    expect(() => makePlan(fakeLibrary().lt, 1n, { ...product, a: { ...product.a, dtype: "i32" } }, 4096, 1)).toThrow(
      FtError,
    );
  });
});

describe("keys of plans", () => {
  it("are the same for what one plan serves", () => {
    const moved = { ...product, alpha: 2, a: { ...product.a, at: 4096n }, b: { ...product.b, at: 8192n } };
    expect(planKey(moved)).toBe(planKey(product));
  });

  it("differ in everything that a plan rests on", () => {
    const { a, b, out } = product;
    const others: Product[] = [
      { ...product, m: 6 },
      { ...product, n: 2 },
      { ...product, k: 6 },
      { ...product, beta: 1 },
      { ...product, batch: 2 },
      { ...product, a: { ...a, ld: 8 } },
      { ...product, a: { ...a, transposed: true } },
      { ...product, b: { ...b, transposed: true } },
      { ...product, a: { ...a, dtype: "f16" } },
      { ...product, out: { ...out, dtype: "bf16" } },
      { ...product, b: { ...b, stride: 21 } },
      { ...product, b: { ...b, at: 514n } },
    ];
    expect(new Set([product, ...others].map(planKey)).size).toBe(others.length + 1);
  });

  it("take the alignment of addresses up to 256 bytes", () => {
    expect([0n, 256n, 264n, 2n, 6n, 1n, 384n].map(alignmentOf)).toEqual([256, 256, 8, 2, 2, 1, 128]);
  });
});
