import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { chatTemplateOf, type Example, encodeConversations, loadRows, tokenizerFromGguf } from "@ft/data";
import { type CausalLm, loadModel, loadModelFrom } from "@ft/models";
import { sharedData, smollm2Path } from "@ft/testing";
import { openGguf } from "@ft/weights";
import { afterAll, describe, expect, it } from "vitest";
import { asWeights, exportAwq, openAwq, openExportSource, targetLikelihood } from "../src/index.ts";

const gguf = smollm2Path();
const alpaca = sharedData("instruct/alpaca_en_demo.json");
const minutes = 60_000;

describe.skipIf(!existsSync(gguf) || alpaca === undefined)("SmolLM2-135M as AWQ, on rows of Alpaca", async () => {
  const dir = await mkdtemp(join(tmpdir(), "ft-awq-"));
  afterAll(() => rm(dir, { recursive: true, force: true }));

  /** Rows of the file as the model sees them. */
  async function examples(first: number, count: number): Promise<readonly Example[]> {
    await using source = await openGguf(gguf);
    const tokenizer = tokenizerFromGguf(source.metadata);
    const rows = (await loadRows(alpaca!)).slice(first, first + count);
    return encodeConversations(tokenizer, chatTemplateOf(tokenizer), rows, { maxLength: 512 }).examples;
  }

  it(
    "answers held-out rows better with scales and clipping than rounded",
    async () => {
      const backend = await createCpuBackend();
      const calibration = (await examples(0, 16)).map(({ tokens }) => [...tokens]);
      const heldOut = await examples(500, 16);
      const perplexity = async (model: CausalLm): Promise<number> => {
        let [nll, tokens] = [0, 0];
        for (const row of heldOut) {
          const one = await targetLikelihood(model, row);
          nll += one.nll;
          tokens += one.tokens;
        }
        return Math.exp(nll / tokens);
      };
      const quantised = async (as: string, searched: boolean): Promise<number> => {
        await using source = await openExportSource(gguf, { backend, files: new Map() });
        await exportAwq(source, join(dir, as), {
          ...{ backend, calibration: searched ? calibration : [], groupSize: 64 },
          ...{ scale: searched, clip: searched, searchTokens: 128 },
        });
        await using opened = await openAwq(join(dir, as));
        const { weights, facts } = asWeights(opened);
        using model = await loadModelFrom(weights, facts, { backend });
        return await perplexity(model);
      };
      using model = await loadModel(gguf, { backend });
      const source = await perplexity(model);
      const rounded = await quantised("rounded", false);
      const searched = await quantised("searched", true);
      console.log(
        `perplexity: source ${source.toFixed(3)}, rounded ${rounded.toFixed(3)}, searched ${searched.toFixed(3)}`,
      );
      // losses above the source's, in nats: a third of what rounding costs is won back, and more
      const cost = (value: number): number => Math.log(value / source);
      expect(cost(searched)).toBeGreaterThan(0);
      expect(cost(searched)).toBeLessThan(0.7 * cost(rounded));
    },
    60 * minutes,
  );
});
