import { createCpuBackend } from "@ft/backend-cpu";
import { leakCheck } from "@ft/testing";
import { expect, it } from "vitest";
import { expectFtError, goldenPath } from "../test/fixtures.ts";
import { openGguf } from "./gguf.ts";
import { loadTensor } from "./load-tensor.ts";

it("loads a quantised tensor into a parameter", async () => {
  const cpu = await createCpuBackend();
  await using source = await openGguf(goldenPath("gguf-quants/tiny.gguf"));
  const wanted = await source.read("q4_0.weight", "f32");
  await leakCheck(cpu, async () => {
    using weight = await loadTensor(source, "q4_0.weight", cpu, { dtype: "f32", axes: ["out", "in"], shape: [6, 96] });
    expect([weight.dtype, weight.axes, weight.shape]).toEqual(["f32", ["out", "in"], [6, 96]]);
    expect(await weight.read()).toEqual(wanted);
  });
});

it("transforms on the way", async () => {
  const cpu = await createCpuBackend();
  await using source = await openGguf(goldenPath("gguf-quants/tiny.gguf"));
  using plain = await loadTensor(source, "norm.weight", cpu, { dtype: "f32", axes: ["hidden"] });
  using minusOne = await loadTensor(source, "norm.weight", cpu, {
    ...{ dtype: "f32", axes: ["hidden"] },
    transform: (data, shape) => (shape[0] === 7 ? data.map((x) => x - 1) : data),
  });
  expect(await minusOne.read()).toEqual((await plain.read()).map((x) => x - 1));
});

it("says what does not fit", async () => {
  const cpu = await createCpuBackend();
  await using source = await openGguf(goldenPath("gguf-quants/tiny.gguf"));
  const axes = ["out", "in"] as const;
  const wrongShape = loadTensor(source, "q8_0.weight", cpu, { dtype: "f32", axes, shape: [96, 6] });
  await expectFtError(wrongShape, "shape", /tiny\.gguf: "q8_0\.weight" is 6×96, not 96×6 \(out, in\)/);
  const wrongRank = loadTensor(source, "norm.weight", cpu, { dtype: "f32", axes });
  await expectFtError(wrongRank, "shape", /"norm\.weight" is 7, not .*\(out, in\)/);
  const wrongName = loadTensor(source, "nothing", cpu, { dtype: "f32", axes });
  await expectFtError(wrongName, "missing", /no tensor "nothing"/);
});
