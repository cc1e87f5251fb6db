import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { styleText } from "node:util";
import { createCpuBackend } from "@ft/backend-cpu";
import {
  batches,
  type ChatTemplate,
  type Conversation,
  chatTemplateOf,
  encodeConversations,
  epochBatches,
  loadTokenizer,
  renderPrompt,
  type Tokenizer,
} from "@ft/data";
import { applyLora, saveAdapter } from "@ft/lora";
import { generate, type Llama, loadModel, meanLoss, uploadBatch } from "@ft/models";
import type { LinearFormat } from "@ft/nn";
import { type AnyOptimizer, adamw, cosine } from "@ft/optim";
import { countSteps, metricsLog, progressLog, train, watched } from "@ft/trainer";

export interface Options {
  /** a Hugging Face folder or a .gguf file */
  readonly model: string;
  readonly training: readonly Conversation[];
  readonly heldOut: readonly Conversation[];
  /** folder of the adapter */
  readonly out: string;
  /** tokens of a row at most */
  readonly maxLength: number;
  readonly batchSize: number;
  readonly length: { readonly epochs: number } | { readonly maxSteps: number };
  readonly learningRate: number;
  /** optimizer steps between evaluations of the held-out rows; the curve is in metrics.jsonl beside the adapter */
  readonly evalEvery: number;
  readonly rank: number;
  /** held-out rows whose answers are compared word for word */
  readonly exactRows: number;
  /** held-out rows whose answers are shown, counted from 0 */
  readonly samples: readonly number[];
  readonly maxNewTokens: number;
  /** how the base's weights are held; as the model has them when absent */
  readonly format?: LinearFormat;
  /** AdamW without decay when absent */
  readonly optimizer?: AnyOptimizer;
  /** folder for a checkpoint at the end */
  readonly checkpoints?: string;
  /** recompute activations in the backward */
  readonly checkpointing?: boolean;
  /** sees the model before the adapters are put over it, and after they were trained and taken off */
  readonly inspect?: (model: Llama, when: "before" | "after") => Promise<void>;
}

/** What a run showed, before and after. */
export interface Result {
  readonly loss: readonly [number, number];
  /** share of exact answers; NaN when none were asked for */
  readonly exact: readonly [number, number];
  readonly seconds: number;
}

interface Measured {
  readonly loss: number;
  readonly exact: number;
  readonly answers: readonly string[];
}

/** Measures a model on held-out rows, fine-tunes it with LoRA, measures again, shows both and saves the adapter. */
export async function beforeAndAfter(options: Options): Promise<Result> {
  const begun = performance.now();
  const backend = await createCpuBackend();
  const { format, checkpointing = false } = options;
  using model = await loadModel(options.model, { backend, ...(format && { format }) });
  const tokenizer = await loadTokenizer(options.model);
  const template = chatTemplateOf(tokenizer);
  const { maxLength, batchSize, learningRate } = options;
  const encode = { maxLength, truncation: "drop" } as const;
  const { examples, stats } = encodeConversations(tokenizer, template, options.training, encode);
  const held = encodeConversations(tokenizer, template, options.heldOut, encode).examples;
  console.log(
    `${stats.examples} rows to learn from (${stats.dropped} longer than ${maxLength} tokens left out), ${held.length} held out`,
  );

  const heldSource = batches({ examples: held, seed: 0, batchSize, maxLength, shuffle: false });
  const heldOutLoss = (): Promise<number> => meanLoss(model, epochBatches(heldSource));
  const measure = async (): Promise<Measured> => {
    const loss = await heldOutLoss();
    const answers: string[] = [];
    for (const { messages } of options.heldOut.slice(
      0,
      Math.max(options.exactRows, ...options.samples.map((row) => row + 1)),
    ))
      answers.push(await answer(model, tokenizer, template, messages.slice(0, -1), options.maxNewTokens));
    const asked = options.heldOut.slice(0, options.exactRows);
    const right = asked.filter(({ messages }, i) => messages.at(-1)?.content === answers[i]).length;
    return { loss, exact: right / asked.length, answers };
  };
  const before = await measure();
  await options.inspect?.(model, "before");

  const adapter = applyLora(model, { r: options.rank });
  const { trainable, total } = adapter.summary();
  console.log(`training ${trainable.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} parameters`);
  const source = batches({ examples, seed: 0, batchSize, maxLength });
  const totalSteps = countSteps({ perEpoch: source.perEpoch, ...options.length });
  const events = train({
    parameters: adapter.parameters(),
    loss: (batch) => model.loss(uploadBatch(backend, batch, model.config.vocabSize), { checkpointing }).loss,
    batches: source,
    optimizer: options.optimizer ?? adamw({ weightDecay: 0 }),
    schedule: cosine({ learningRate, totalSteps, warmupRatio: 0.05 }),
    ...options.length,
    clipNorm: 1,
    evaluate: {
      every: options.evalEvery,
      async run() {
        adapter.evaluate();
        return { loss: await heldOutLoss() };
      },
    },
    ...(options.checkpoints !== undefined && { checkpoint: { dir: options.checkpoints, keepBest: false } }),
    beforeMicroBatch: ({ draw }) => adapter.train(draw),
  });
  await mkdir(dirname(options.out), { recursive: true });
  for await (const _ of watched(events, [metricsLog(dirname(options.out)), progressLog()]));
  adapter.evaluate();

  const after = await measure();
  await saveAdapter(adapter, options.out, options.model);
  adapter.remove();
  await options.inspect?.(model, "after");
  const seconds = (performance.now() - begun) / 1000;
  show(options, before, after, seconds);
  return { loss: [before.loss, after.loss], exact: [before.exact, after.exact], seconds };
}

async function answer(
  model: Llama,
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: Conversation["messages"],
  maxNewTokens: number,
): Promise<string> {
  const { ids: prompt } = renderPrompt(tokenizer, template, messages);
  const stopIds = [...new Set([...model.config.eosTokenIds, ...tokenizer.stopIds])];
  const ids: number[] = [];
  for await (const id of generate(model, prompt, { maxNewTokens, stopIds })) ids.push(id);
  return tokenizer.decode(ids, { skipSpecialTokens: true });
}

function show(options: Options, before: Measured, after: Measured, seconds: number): void {
  for (const i of options.samples) {
    const messages = options.heldOut[i]?.messages ?? [];
    console.log(`\n${styleText("bold", messages.at(-2)?.content ?? "")}`);
    console.log(`  wanted  ${messages.at(-1)?.content}`);
    console.log(`  before  ${oneLine(before.answers[i])}`);
    console.log(`  after   ${styleText("green", oneLine(after.answers[i]))}`);
  }
  const fall = (100 * (1 - after.loss / before.loss)).toFixed(1);
  console.log(`\nheld-out loss   ${before.loss.toFixed(3)} -> ${after.loss.toFixed(3)}  (${fall} % lower)`);
  if (options.exactRows > 0) {
    const share = ({ exact }: Measured): string => `${(100 * exact).toFixed(0)} %`;
    console.log(`exact answers   ${share(before)} -> ${share(after)}  (the first ${options.exactRows} held-out rows)`);
  }
  console.log(`adapter         ${options.out}`);
  console.log(`time            ${seconds.toFixed(1)} s`);
}

function oneLine(text = ""): string {
  const line = text.replaceAll("\n", "⏎");
  return line.length > 110 ? `${line.slice(0, 110)}…` : line;
}
