import { FtError, philox, tensor } from "@ft/tensor";
import type { CausalLm } from "../causal-lm.ts";
import { checkPrompt } from "./check-prompt.ts";
import { type GenerateOptions, samplingStream } from "./generate.ts";
import { checkSampling, sampleToken } from "./sample.ts";

/** An answer under way. */
interface Row {
  readonly answer: number[];
  /** most tokens that it may have */
  readonly most: number;
  finished: boolean;
}

/**
 * Continues several prompts at once, of any lengths; the answers come back in their order. Each ends for itself as
 * generate() would end it: at a stop id, after maxNewTokens, or where the model's context is full. Greedy answers are those
 * of generate() but for scores that tie within the rounding of a sum; when sampling, each row has random numbers of its own.
 */
export async function generateBatch(
  model: CausalLm,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions = {},
): Promise<number[][]> {
  const { maxNewTokens = 256, stopIds = model.config.eosTokenIds, seed = 0, signal } = options;
  const { maxPositions, vocabSize } = model.config;
  checkSampling(options);
  if (prompts.length === 0) throw new FtError("input", "[generate] there are no prompts", "pass at least one");
  for (const prompt of prompts) checkPrompt(model, prompt);
  const stops = new Set(stopIds);
  const rows = prompts.map(({ length }): Row => {
    const most = Math.min(maxNewTokens, maxPositions - length);
    return { answer: [], most, finished: most < 1 };
  });
  const longest = Math.max(...prompts.map(({ length }) => length));
  const ends = prompts.map(({ length }, i) => length + (rows[i]?.most ?? 0));
  using cache = model.createCache(prompts.length, Math.max(longest, ...ends));

  let next: readonly (readonly number[])[] = prompts;
  for (let i = 0; rows.some(({ finished }) => !finished); i++) {
    signal?.throwIfAborted();
    const scores = await scoresAfter(model, cache, next);
    const uniform = philox(seed, samplingStream, i);
    next = rows.map((row, r) => {
      if (row.finished) return [];
      const id = sampleToken(scores.subarray(r * vocabSize, (r + 1) * vocabSize), options, uniform(r));
      if (!stops.has(id)) row.answer.push(id);
      row.finished = stops.has(id) || row.answer.length === row.most;
      return row.finished ? [] : [id];
    });
  }
  return rows.map(({ answer }) => answer);
}

/** Scores after each row's new ids, row by row; rows are filled up on the right, and a row without new ids stands still. */
async function scoresAfter(
  model: CausalLm,
  cache: ReturnType<CausalLm["createCache"]>,
  rows: readonly (readonly number[])[],
): Promise<Float32Array | Float64Array> {
  const seq = Math.max(...rows.map(({ length }) => length));
  const ids = new Int32Array(rows.length * seq);
  for (const [r, row] of rows.entries()) ids.set(row, r * seq);
  using input = tensor(model.backend, "i32", ["batch", "seq"], [rows.length, seq], ids, { give: true });
  using logits = model.advance(
    input,
    cache,
    rows.map(({ length }) => length),
  );
  return await logits.read();
}
