import { createCpuBackend } from "@ft/backend-cpu";
import { run, scalar, tensor } from "@ft/tensor";
import { roundBlock, roundStochasticOp } from "@ft/tensor/ops";
import { backendConformance } from "@ft/testing";
import { afterAll, describe, expect, it } from "vitest";
import { type CudaBackend, createCudaBackend } from "../src/index.ts";

/** Why this machine cannot run these tests; undefined where it can. */
async function missing(): Promise<string | undefined> {
  try {
    (await createCudaBackend()).dispose();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
const why = await missing();

if (why !== undefined) it.skip(`on a card: ${why}`, () => {});
else {
  backendConformance(
    "cuda",
    () => createCudaBackend({ poison: true }),
    {
      dtypes: ["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"],
      reference: () => createCpuBackend({ engine: "loops" }),
      shapes: 4,
      large: true,
    },
    { describe, it, afterAll },
  );

  describe("roundStochastic", () => {
    it("has the bytes of its reference, over several blocks of random numbers and for numbers of any size", async () => {
      const [card, cpu] = [await createCudaBackend(), await createCpuBackend({ engine: "loops" })];
      const values = Float32Array.from({ length: roundBlock + 1001 }, (_, i) => {
        const size = 2 ** ((i * 7919) % 60) * 1e-9 * (1 + ((i * 104_729) % 9973) / 9973);
        return i % 3 === 0 ? -size : size;
      });
      const rounded = async (backend: CudaBackend | typeof cpu): Promise<Uint8Array> => {
        using x = tensor(backend, "f32", ["x"], [values.length], values);
        using step = scalar(backend, "f32", 17);
        using y = run(roundStochasticOp, { in: { x, step }, attrs: { seed: 3, stream: 7 }, axes: { y: ["x"] } }).y;
        return new Uint8Array((await y.read()).buffer);
      };
      expect(Buffer.from(await rounded(card)).equals(Buffer.from(await rounded(cpu)))).toBe(true);
      card.dispose();
    });
  });
}
