import { type Backend, FtError, philox, type Tensor, tensor } from "@ft/tensor";
import type { CausalLm } from "../causal-lm.ts";
import { checkPrompt } from "./check-prompt.ts";
import { type GenerateOptions, samplingStream } from "./generate.ts";
import { checkSampling } from "./sample.ts";
import { tokensAfter } from "./tokens-after.ts";

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
  const { maxPositions } = model.config;
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
    // a turn of the event loop, so that a signal can arrive while the backend keeps this thread busy
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    const counts = next.map(({ length }) => length);
    using ids = filled(model.backend, next);
    const tokens = await tokensAfter(model, cache, ids, counts, options, philox(seed, samplingStream, i));
    next = rows.map((row, r) => {
      const id = tokens[r];
      if (row.finished || id === undefined) return [];
      if (!stops.has(id)) row.answer.push(id);
      row.finished = stops.has(id) || row.answer.length === row.most;
      return row.finished ? [] : [id];
    });
  }
  return rows.map(({ answer }) => answer);
}

/** Each row's new ids, filled up on the right. */
function filled(backend: Backend, rows: readonly (readonly number[])[]): Tensor<"i32", readonly ["batch", "seq"]> {
  const seq = Math.max(...rows.map(({ length }) => length));
  const ids = new Int32Array(rows.length * seq);
  for (const [r, row] of rows.entries()) ids.set(row, r * seq);
  return tensor(backend, "i32", ["batch", "seq"], [rows.length, seq], ids, { give: true });
}
