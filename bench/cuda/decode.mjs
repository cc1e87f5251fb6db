// Greedy answers to prompts of equal length.
import { generateBatch } from "@ft/models";
import { median } from "../lib/numbers.mjs";
import { tokenAt } from "./ids.mjs";
import { profileOf } from "./profile.mjs";

/** `seq` tokens of prompt, `tokens` new ones; the time of the prompt is part of it, as it is on the other side */
export async function decode({ batch, seq, tokens = 128, steps, warm }, { work, memory, takeWaited }, model) {
  const { vocabSize } = model.config;
  const prompts = Array.from({ length: batch }, (_, b) =>
    Array.from({ length: seq }, (_, i) => tokenAt(b * seq + i, vocabSize)),
  );
  const all = [];
  const host = [];
  let first;
  for (let i = 0; i < warm + steps; i++) {
    if (i === warm) work?.reset();
    takeWaited();
    const from = performance.now();
    const answers = await generateBatch(model, prompts, { maxNewTokens: tokens, stopIds: [] });
    const seconds = (performance.now() - from) / 1000;
    if (answers.some(({ length }) => length !== tokens)) throw new Error("an answer ended early");
    first ??= seconds;
    if (i < warm) continue;
    all.push(seconds);
    host.push(seconds - takeWaited() / 1000);
  }
  const seconds = median(all);
  return {
    tokensPerSecond: (batch * tokens) / seconds,
    step: seconds,
    first,
    ...memory(),
    host: { share: median(host) / seconds },
    ...(work && { profile: profileOf(work, { steps, seconds: all.reduce((a, b) => a + b, 0) }) }),
  };
}
