import { FtError } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { type Card, capabilityText, cudaText } from "./cards.ts";
import { type Inspection, inspectCuda } from "./inspect.ts";
import type { Found, Libraries } from "./search.ts";

const card: Card = { device: 0, name: "NVIDIA H100 80GB HBM3", capability: 90, memory: 85e9 };
const found = (path: string): Found => ({ path, from: "system" });
const both: Libraries = {
  cublasLt: found("/l/libcublasLt.so.13"),
  cudnn: found("/l/libcudnn.so.9"),
  unusable: [],
  looked: ["/l"],
};
const whole: Inspection = { driver: () => ({ cuda: 13_000 }), cards: () => [card], libraries: () => both };

describe("inspectCuda", () => {
  it("is content with a driver, a card and both libraries", () => {
    expect(inspectCuda(whole)).toMatchObject({ usable: true, cards: [card], problems: [] });
  });

  it("names a missing driver first, and asks nothing of the user that would not help", () => {
    const driver = () => {
      throw new FtError("backend", "[cuda] there is no NVIDIA driver here", "install it");
    };
    const { usable, problems } = inspectCuda({ ...whole, driver, libraries: () => ({ unusable: [], looked: [] }) });
    expect(usable).toBe(false);
    expect(problems).toEqual([{ what: "there is no NVIDIA driver here", fix: "install it", fatal: true }]);
  });

  it("refuses cards that are hidden or too old, but not an old one beside a newer one", () => {
    const old: Card = { ...card, name: "Tesla T4", capability: 75, why: "compute capability 7.5 has no bf16" };
    expect(inspectCuda({ ...whole, cards: () => [] }).problems[0]?.what).toMatch(/shows no card/);
    expect(inspectCuda({ ...whole, cards: () => [old] }).problems[0]?.what).toMatch(/Tesla T4: .*no bf16/);
    expect(inspectCuda({ ...whole, cards: () => [old, card] }).usable).toBe(true);
  });

  it("needs cuBLASLt, and works without cuDNN", () => {
    const { cublasLt, cudnn, ...rest } = both;
    const without = inspectCuda({ ...whole, libraries: () => ({ ...rest, cudnn: cudnn! }) });
    expect(without).toMatchObject({ usable: false, problems: [{ fix: "ft setup cuda", fatal: true }] });
    const slower = inspectCuda({ ...whole, libraries: () => ({ ...rest, cublasLt: cublasLt! }) });
    expect(slower).toMatchObject({ usable: true, problems: [{ fix: "ft setup cuda", fatal: false }] });
  });

  it("looks for libraries that the driver runs", () => {
    let asked: number | undefined;
    const libraries = (cuda: number | undefined): Libraries => {
      asked = cuda;
      return both;
    };
    inspectCuda({ ...whole, driver: () => ({ cuda: 12_080 }), libraries });
    expect(asked).toBe(12);
  });
});

it("writes versions as NVIDIA does", () => {
  expect([cudaText(13_000), cudaText(12_090), capabilityText(86), capabilityText(120)]).toEqual([
    "13.0",
    "12.9",
    "8.6",
    "12.0",
  ]);
});
