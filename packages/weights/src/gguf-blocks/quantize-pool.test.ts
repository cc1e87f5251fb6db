import { randomFrom } from "@ft/testing";
import { expect, it } from "vitest";
import { expectFtError } from "../../test/fixtures.ts";
import { ggufType } from "./gguf-type.ts";
import { createQuantizer } from "./quantize-pool.ts";

const random = randomFrom(5);
/** Nine chunks and a part. */
const values = Float32Array.from({ length: 600_064 }, () => random.int(-1_000, 1_000) / 1_000);

it("gives the bytes of one thread, in order, with calls side by side", async () => {
  await using quantizer = createQuantizer({ threads: 3 });
  const cases = ["Q4_K", "Q8_0", "Q6_K", "F16", "Q4_K"].map((name, i) => ({
    type: ggufType(name),
    values: values.subarray(i * 256, values.length - i * 512),
  }));
  const made = await Promise.all(cases.map((c) => quantizer.quantize(c.type, c.values)));
  for (const [i, c] of cases.entries())
    expect(Buffer.compare(made[i]!, c.type.quantize(c.values)), c.type.name).toBe(0);
});

it("works without threads, and on little", async () => {
  for (const threads of [0, 1]) {
    await using quantizer = createQuantizer({ threads });
    const some = values.subarray(0, 512);
    expect(await quantizer.quantize(ggufType("Q4_K"), some)).toEqual(ggufType("Q4_K").quantize(some));
  }
});

it("reports the first bad value, and goes on", async () => {
  await using quantizer = createQuantizer({ threads: 2 });
  const bad = values.slice();
  bad[300_000] = Number.NaN;
  bad[170_000] = 1e30;
  bad[590_000] = Number.NaN;
  await expectFtError(quantizer.quantize(ggufType("Q4_0"), bad), "numeric", /values 169984 to 170015 are beyond/);
  bad[170_000] = Number.NEGATIVE_INFINITY;
  await expectFtError(quantizer.quantize(ggufType("Q4_0"), bad), "numeric", /value 170000 is -Infinity/);
  await expectFtError(quantizer.quantize(ggufType("Q4_K"), bad.subarray(1)), "shape", /blocks of 256/);
  expect(await quantizer.quantize(ggufType("Q4_0"), values)).toEqual(ggufType("Q4_0").quantize(values));
});

it("refuses what is unfinished when closed, and everything afterwards", async () => {
  const quantizer = createQuantizer({ threads: 1 });
  const unfinished = expectFtError(quantizer.quantize(ggufType("Q4_K"), values), "disposed", /closed/);
  await quantizer.close();
  await unfinished;
  await expectFtError(quantizer.quantize(ggufType("Q4_K"), values), "disposed", /closed/);
  await quantizer.close();
});

it("refuses a number of threads that is none", () => {
  for (const threads of [-1, 1.5, Number.NaN]) expect(() => createQuantizer({ threads })).toThrow(/threads; give/);
});
