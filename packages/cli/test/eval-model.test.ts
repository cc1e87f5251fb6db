import { existsSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { chatTemplateOf, encodeConversation, loadRows, loadTokenizer } from "@ft/data";
import { stridedPerplexity } from "@ft/eval";
import { loadModel, meanLoss } from "@ft/models";
import { expectClose } from "@ft/testing";
import { beforeAll, describe, expect, it } from "vitest";
import { evaluateModel } from "../src/eval/evaluate-model.ts";
import type { Evaluation } from "../src/eval/evaluation.ts";
import { chooseMetrics } from "../src/eval/metrics.ts";
import { createIo } from "../src/io.ts";
import { expectRefusal, type Setup } from "./refusal.ts";
import { ft } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

const rowCount = 11;
const asked = ["--metrics", "perplexity,chrf,f1", "--max-new-tokens", "12", "--batch-size", "2", "--threads", "1"];

interface Prediction {
  readonly index: number;
  readonly row: number;
  readonly prompt: readonly { readonly role: string; readonly content: string }[];
  readonly prediction: string;
  readonly references: readonly string[];
  readonly scores: Readonly<Record<string, number>>;
}

async function train(at: Setup, name: string, ...flags: readonly string[]): Promise<string> {
  const out = join(at.folder, name);
  const { code, err } = await ft(
    ...["train", "--model", at.model, "--data", at.data, "--out", out, "--validation-fraction", "0"],
    ...["--max-steps", "25", "--learning-rate", "0.02", "--batch-size", "4", "--threads", "1", ...flags],
  );
  expect(code, err).toBe(0);
  return out;
}

async function evaluate(at: Setup, ...args: readonly string[]): Promise<Evaluation> {
  const { code, out, err } = await ft("eval", "--json", "--model", at.model, "--data", at.data, ...asked, ...args);
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

async function linesOf<Row>(file: string): Promise<Row[]> {
  const text = await readFile(file, "utf8");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line): Row => JSON.parse(line));
}

const scoreOf = ({ measures }: Evaluation, name: string, subject: number) =>
  measures.find((measure) => measure.name === name)!.scores[subject]!;

let at: Setup;
let adapter: string;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "ft-eval-"));
  const model = await tinyModel(join(folder, "model"));
  at = { folder, model, data: await someRows(join(folder, "rows.json"), rowCount), out: join(folder, "run") };
  adapter = await train(at, "tuned");
  return () => rm(folder, { recursive: true, force: true });
});

describe("ft eval of a model and an adapter", () => {
  it("compares them on the same rows, each as ft generate answers", async () => {
    const out = join(at.folder, "compared");
    const evaluation = await evaluate(at, "--adapter", adapter, "--out", out);
    expect(evaluation).toMatchObject({ version: 1, finished: true, rows: rowCount, leftOut: 0 });
    expect(evaluation.subjects).toEqual([
      { name: "base", predictions: "predictions.base.jsonl" },
      { name: "tuned", path: adapter, predictions: "predictions.tuned.jsonl" },
    ]);
    expect(evaluation.measures.map(({ name, better }) => [name, better])).toEqual([
      ["perplexity", "lower"],
      ["chrf", "higher"],
      ["f1", "higher"],
    ]);
    for (const { scores } of evaluation.measures)
      for (const { value, low, high } of scores) expect(low <= value && value <= high).toBe(true);
    // 25 steps on these very rows: it learnt them
    const [before, after] = [scoreOf(evaluation, "perplexity", 0), scoreOf(evaluation, "perplexity", 1)];
    expect(after.high).toBeLessThan(before.low);
    expect(after.against!.difference).toBe(after.value - before.value);
    expect(after.against!.p).toBeLessThan(0.05);
    expect(before.against).toBeUndefined();

    expect((await readdir(out)).sort()).toEqual(
      [
        ...["eval.json", "eval.md", "losses.base.jsonl", "losses.tuned.jsonl"],
        "predictions.base.jsonl",
        "predictions.tuned.jsonl",
      ].sort(),
    );
    const conversations = await loadRows(at.data);
    for (const name of ["base", "tuned"]) {
      const rows = await linesOf<Prediction>(join(out, `predictions.${name}.jsonl`));
      expect(rows.map(({ index, row }) => [index, row])).toEqual(rows.map((_, i) => [i, i + 1]));
      expect(rows.length).toBe(rowCount);
      for (const [i, { prompt, prediction, references, scores }] of rows.entries()) {
        const messages = conversations[i]!.messages.map(({ role, content }) => ({ role, content }));
        expect([...prompt, { role: "assistant", content: references[0] }]).toEqual(messages);
        expect(Object.keys(scores)).toEqual(["perplexity", "chrf", "f1"]);
        if (i % 4 > 0) continue;
        const flags = [
          "--model",
          at.model,
          "--max-new-tokens",
          "12",
          ...(name === "base" ? [] : ["--adapter", adapter]),
        ];
        const { out: text } = await ft("generate", "--json", "--prompt", prompt[0]!.content, ...flags);
        expect(prediction).toBe(JSON.parse(text).text);
      }
    }
    const { fingerprint: _, ...kept } = JSON.parse(await readFile(join(out, "eval.json"), "utf8"));
    const { fingerprint: __, ...said } = evaluation;
    expect(kept).toEqual(said);
    expect(await readFile(join(out, "eval.md"), "utf8")).toMatch(/^\| {2}\| base \| tuned \| difference \| p \|$/m);
  });

  it("does not write into the folder of a model", async () => {
    const ran = await ft("eval", "--model", at.model, "--data", at.data, ...asked, "--out", at.model);
    expect(ran.err).toMatch(/has config\.json: it is the folder of a model/);
    expect(ran.code).toBe(2);
  });

  it("has the loss of training's validation as its perplexity", async () => {
    const evaluation = await evaluate(at, "--metrics", "perplexity");
    const backend = await createCpuBackend();
    using model = await loadModel(at.model, { backend });
    const tokenizer = await loadTokenizer(at.model);
    const template = chatTemplateOf(tokenizer);
    const batches = (await loadRows(at.data)).map((row) => {
      const { tokens, targets } = encodeConversation(tokenizer, template, row, { maxLength: 256 })!;
      const positions = Int32Array.from(tokens, (_, i) => i);
      return { batch: 1, seq: tokens.length, tokens, targets, positions, segments: positions.map(() => 1) };
    });
    const want = Math.exp(await meanLoss(model, batches));
    expectClose([scoreOf(evaluation, "perplexity", 0).value], [want], { relative: 1e-12, reason: "the same sums" });
    expect(evaluation.samples[0]?.answers[0]).not.toHaveProperty("prediction");
  });

  it("takes each adapter off again, also what it did to biases", async () => {
    const biased: Setup = { ...at, model: await tinyModel(join(at.folder, "biased"), { attention_bias: true }) };
    const first = await train(biased, "first", "--lora-bias", "all");
    const second = await train(biased, "second", "--seed", "7");
    const both = await evaluate(biased, "--adapter", first, "--adapter", second);
    const alone = await evaluate(biased, "--adapter", second);
    expect(both.subjects.map(({ name }) => name)).toEqual(["base", "first", "second"]);
    for (const name of ["perplexity", "chrf", "f1"]) {
      expect(scoreOf(both, name, 0)).toEqual(scoreOf(alone, name, 0));
      expect(scoreOf(both, name, 2)).toEqual(scoreOf(alone, name, 1));
    }
    expect(scoreOf(both, "perplexity", 1).value).not.toBe(scoreOf(both, "perplexity", 2).value);
  });

  it("measures what was forgotten of a text, of texts in rows, and of chats", async () => {
    const [text, rows] = [join(at.folder, "general.txt"), join(at.folder, "general.jsonl")];
    const words = "It rained all night, and in the morning the river was high. ".repeat(9);
    await writeFile(text, words);
    await writeFile(rows, [words, "Short.", "x"].map((one) => `${JSON.stringify({ text: one })}\n`).join(""));
    const evaluation = await evaluate(at, "--metrics", "perplexity", "--adapter", adapter, "--general", text);
    const { documents, scores } = evaluation.general!;
    const [base, tuned] = scores;
    expect([documents, base!.subject, tuned!.subject]).toEqual([1, "base", "tuned"]);
    const tokenizer = await loadTokenizer(at.model);
    using model = await loadModel(at.model, { backend: await createCpuBackend() });
    const want = await stridedPerplexity(model, tokenizer.encode(words), { bytes: Buffer.byteLength(words) });
    expect([base!.perplexity, base!.bitsPerByte, base!.tokens]).toEqual([
      want.perplexity,
      want.bitsPerByte,
      want.tokens,
    ]);
    expect(base!.forgetting).toBeUndefined();
    expect(tuned!.forgetting).toBe(tuned!.loss - base!.loss);
    expect(Math.abs(tuned!.forgetting!)).toBeGreaterThan(0.01);

    const out = join(at.folder, "forgotten");
    const ofRows = await evaluate(at, "--metrics", "perplexity", "--general", rows, "--out", out);
    // a document of one token has none to predict
    expect(ofRows.general).toMatchObject({ documents: 2, scores: [{ subject: "base" }] });
    expect((await linesOf(join(out, "general.base.jsonl"))).length).toBe(2);
    const ofChats = await evaluate(at, "--metrics", "perplexity", "--general", at.data);
    expect(ofChats.general!.scores[0]!.perplexity).toBe(scoreOf(ofChats, "perplexity", 0).value);
    expect(ofChats.general!.scores[0]).not.toHaveProperty("bitsPerByte");
  });

  it("leaves out rows that are too long, and takes the first ones", async () => {
    const limited = await evaluate(at, "--metrics", "f1", "--limit", "3");
    expect([limited.rows, limited.leftOut]).toEqual([3, 0]);
    const short = await evaluate(at, "--metrics", "f1", "--max-length", "18", "--truncation", "drop");
    expect(short.rows + short.leftOut).toBe(rowCount);
    expect(short.leftOut).toBeGreaterThan(0);
    expect(short.rows).toBeGreaterThan(0);
  });
});

describe("a run of ft eval that was stopped", () => {
  /** Stops when a remark of the run matches. */
  async function stoppedAt(out: string, remark: RegExp): Promise<unknown> {
    const stop = new AbortController();
    const io = createIo(false, { out: () => {}, err: (text) => remark.test(text) && stop.abort(new Error("stop")) });
    const backend = await createCpuBackend({ threads: 1 });
    const { model, data } = at;
    const metrics = chooseMetrics(["perplexity", "chrf", "f1"]);
    const sizes = { batchSize: 2, maxNewTokens: 12, truncation: "end" as const };
    return evaluateModel({ model, data, adapters: [adapter], metrics, out, backend, ...sizes }, io, stop.signal).catch(
      (error: unknown) => error,
    );
  }

  it.each([
    ["in the losses of the base", /base: losses: 4 of 11/],
    ["in its predictions", /base: predictions: 4 of 11/],
    ["in those of the adapter", /tuned: predictions: 9 of 11/],
  ])("%s goes on from there, to the same bytes", async (where, remark) => {
    const [whole, stopped] = [join(at.folder, `${where} whole`), join(at.folder, `${where} stopped`)];
    await evaluate(at, "--adapter", adapter, "--out", whole);
    const error = await stoppedAt(stopped, remark);
    expect(error).toMatchObject({
      code: "interrupted",
      message: expect.stringContaining(`what was computed is in ${stopped}`),
    });
    expect(JSON.parse(await readFile(join(stopped, "eval.json"), "utf8"))).toMatchObject({
      finished: false,
      rows: rowCount,
    });
    expect(existsSync(join(stopped, "eval.md"))).toBe(false);
    const files = (await readdir(stopped)).filter((name) => name.endsWith(".jsonl"));
    // the last line of the newest file is torn, as by a power cut
    const newest = files.includes("predictions.tuned.jsonl") ? "predictions.tuned.jsonl" : files.at(-1)!;
    await appendFile(join(stopped, newest), '{"index":');
    await evaluate(at, "--adapter", adapter, "--out", stopped);
    for (const name of await readdir(whole))
      if (name !== "eval.json")
        expect(await readFile(join(stopped, name), "utf8"), name).toBe(await readFile(join(whole, name), "utf8"));
  });

  it("computes no row again that is there", async () => {
    const out = join(at.folder, "kept");
    await evaluate(at, "--out", out);
    const file = join(out, "predictions.base.jsonl");
    const rows = await linesOf<Prediction>(file);
    const marked = rows.map((row) => ({ ...row, prediction: `${row.index} was kept` }));
    // of 11 rows, those of one window of 8 are there, and 1 of the next
    await writeFile(
      file,
      marked
        .slice(0, 9)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(""),
    );
    const again = await evaluate(at, "--out", out, "--metrics", "f1,exact-match");
    const kept = await linesOf<Prediction>(file);
    expect(kept.map(({ prediction }) => prediction)).toEqual([
      ...marked.slice(0, 9).map(({ prediction }) => prediction),
      ...rows.slice(9).map(({ prediction }) => prediction),
    ]);
    expect(Object.keys(kept[0]!.scores)).toEqual(["f1", "exact-match"]);
    expect(again.samples[0]?.answers[0]?.prediction).toBe("0 was kept");
  });

  it("goes on with more metrics, one more adapter and more rows, but not with other data or settings", async () => {
    const out = join(at.folder, "more");
    await evaluate(at, "--out", out, "--metrics", "perplexity", "--limit", "4");
    const more = await evaluate(at, "--out", out, "--metrics", "perplexity,f1", "--adapter", adapter);
    expect(more).toMatchObject({ rows: rowCount, subjects: [{ name: "base" }, { name: "tuned" }] });
    const other = await someRows(join(at.folder, "other.json"), 5);
    const of = (...args: readonly string[]) =>
      ft("eval", "--model", at.model, "--data", at.data, ...asked, "--out", out, ...args);
    const none = join(at.folder, "none");
    const refused = (ran: Awaited<ReturnType<typeof ft>>, what: RegExp) => {
      expectRefusal(ran, /holds an evaluation of something else: /, none);
      expect(ran.err).toMatch(what);
    };
    refused(
      await of("--data", other),
      /: data was [0-9a-f]{16}, is [0-9a-f]{16}\n {2}choose another --out, or remove it/,
    );
    refused(await of("--max-new-tokens", "13"), /: max new tokens was 12, is 13\n/);
    refused(await of("--truncation", "drop", "--max-length", "99"), /: rows was end, 256 tokens, is drop, 99 tokens\n/);
    const model = await tinyModel(join(at.folder, "wider"), { intermediate_size: 64 });
    refused(await of("--model", model), /: model was .*model [0-9a-f]{16}, is .*wider [0-9a-f]{16}\n/);
    const elsewhere = join(at.folder, "elsewhere");
    await mkdir(elsewhere);
    const renamed = await train({ ...at, folder: elsewhere }, "tuned", "--seed", "3");
    refused(await of("--adapter", renamed), /: adapter tuned was [0-9a-f]{16}, is [0-9a-f]{16}\n/);
  });

  it("is not guessed at: rows without eval.json, and lines that are no rows", async () => {
    const out = join(at.folder, "strange");
    await evaluate(at, "--out", out, "--metrics", "f1");
    const file = join(out, "predictions.base.jsonl");
    const of = () => ft("eval", "--model", at.model, "--data", at.data, ...asked, "--out", out);
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace('"index":2', '"index":7'));
    expectRefusal(await of(), /line 3 of .*predictions\.base\.jsonl is not row 2/, join(at.folder, "none"));
    await writeFile(join(out, "eval.json"), "{");
    expectRefusal(await of(), /eval\.json/, join(at.folder, "none"));
    await rm(join(out, "eval.json"));
    expectRefusal(
      await of(),
      /strange has .*\.jsonl but no eval\.json\n {2}choose another --out/,
      join(at.folder, "none"),
    );
  });
});

describe("ft eval refuses, before any work,", () => {
  const of = (...args: readonly string[]) =>
    ft("eval", "--model", at.model, "--data", at.data, ...asked, "--out", join(at.folder, "refused"), ...args);
  const written = () => join(at.folder, "refused");

  it("an adapter of another base, or of another size", async () => {
    const wide: Setup = {
      ...at,
      model: await tinyModel(join(at.folder, "wide"), { hidden_size: 48, intermediate_size: 64 }),
    };
    const other = await train(wide, "for-wide");
    expectRefusal(
      await of("--adapter", adapter, "--adapter", other),
      /for-wide\/adapter.*(trained over another base|the model needs)/,
      written(),
    );
    const plain = fileNamed("../../../tools/goldens/data/bnb-llama/adapter");
    expectRefusal(
      await of("--adapter", plain),
      /adapter_model\.safetensors: .* is 4×72, the model needs 4×32/,
      written(),
    );
    expectRefusal(await of("--adapter", join(at.folder, "gone")), /gone/, written());
  });

  it("rows without a question, prompts that fill the context, sizes beyond it", async () => {
    const rows = join(at.folder, "bad.jsonl");
    const chat = (...messages: readonly (readonly [string, string])[]) =>
      writeFile(rows, `${JSON.stringify({ messages: messages.map(([role, content]) => ({ role, content })) })}\n`);
    await chat(["assistant", "Hello"]);
    expectRefusal(await of("--data", rows), /row 1 of .*bad\.jsonl: nothing stands before its answer/, written());
    await chat(["user", "x".repeat(300)], ["assistant", "y"]);
    const long = await of("--data", rows, "--metrics", "f1");
    expectRefusal(
      long,
      /row 1 of .*: its prompt has 303 tokens, and the model's context is 256\n.*--truncation drop --max-length 256/,
      written(),
    );
    expectRefusal(
      await of("--max-length", "300"),
      /--max-length 300\n {2}the model's context is 256 tokens/,
      written(),
    );
    expectRefusal(
      await of("--truncation", "drop", "--max-length", "4"),
      /none of 11 rows fits into 4 tokens/,
      written(),
    );
  });

  it("a general set that is none", async () => {
    const rows = join(at.folder, "mixed.jsonl");
    await writeFile(rows, '{"text": "one two"}\n{"words": "three"}\n');
    expectRefusal(await of("--general", rows), /row 2 of .*mixed\.jsonl: has no text/, written());
    expectRefusal(await of("--general", join(at.folder, "gone.txt")), /gone\.txt cannot be read/, written());
    await writeFile(join(at.folder, "empty.txt"), "");
    expectRefusal(await of("--general", join(at.folder, "empty.txt")), /empty\.txt: holds no text/, written());
  });
});

function fileNamed(path: string): string {
  return new URL(path, import.meta.url).pathname;
}
