import { type Backend, bytesOf, type FloatDType } from "@ft/tensor";
import { opCases, randomFrom, runCase } from "@ft/testing";
import { describe, expect, it } from "vitest";
import type { CudaBuffer } from "../src/context.ts";
import { dryCard } from "../src/dry/dry-card.ts";
import { primitives } from "../src/primitives/index.ts";

const h100 = { name: "H100", capability: 90, multiprocessors: 132, memory: 80 * 2 ** 30 };

/** The whole backend, which launches nothing: every launch is checked against the kernels that were built. */
function dryBackend(): {
  readonly backend: Backend<CudaBuffer>;
  readonly live: () => number;
  readonly launched: Set<string>;
} {
  const launched = new Set<string>();
  const card = dryCard(h100);
  const { context, held, ...buffers } = card.dryRun({ call: ({ kernel }) => launched.add(kernel) });
  const backend: Backend<CudaBuffer> = {
    ...card,
    ...buffers,
    context,
    primitives: primitives(context),
    read: async (_, spec) => new ArrayBuffer(bytesOf(spec)),
  };
  return { backend, live: () => held().live, launched };
}

describe("without a card, every op in every dtype launches kernels that exist, with arguments that fit", () => {
  for (const dtype of ["f32", "bf16", "f16", "f64"] as const satisfies readonly FloatDType[])
    it.each(opCases)(`$name in ${dtype}`, async (opCase) => {
      const { backend, live, launched } = dryBackend();
      const runs = async (): Promise<void> => {
        for (let seed = 1; seed <= 4; seed++)
          for (const passage of ["held", "passing"] as const) {
            const inputs = opCase.make(randomFrom(seed), dtype, "small");
            const { leaked } = await runCase(backend, inputs, { wanted: inputs.differentiable, passage, seed });
            expect(leaked).toBe(0);
          }
      };
      await runs();
      // tables of references are uploaded at their first use, and stay
      const held = live();
      await runs();
      expect(live()).toBe(held);
      expect(launched.size).toBeGreaterThan(0);
    });
});

it("refuses facts that no card has", () => {
  for (const facts of [{ capability: 9 }, { memory: Number.NaN }, { multiprocessors: 0 }])
    expect(() => dryCard({ ...h100, ...facts })).toThrow(`[dryCard] ${Object.keys(facts)[0]} is`);
});
