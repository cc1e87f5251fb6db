import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bleu, chrf, corpusScore, type Metric, rouge, rougeCharacters } from "@ft/eval";
import { describe, expect, it } from "vitest";
import type { Evaluation } from "../src/eval/evaluation.ts";
import { expectRefusal } from "./refusal.ts";
import { emptyFolder, ft } from "./run-ft.ts";

async function files(contents: Readonly<Record<string, readonly string[]>>): Promise<(name: string) => string> {
  const folder = await emptyFolder();
  for (const [name, lines] of Object.entries(contents)) await writeFile(join(folder, name), `${lines.join("\n")}\n`);
  return (name) => join(folder, name);
}

const answers = ["the cat sat on the mat", "hello world, how are you", "", "yes"];
const truths = ["the cat sat on the red mat", "hello world, how are you", "nothing was said", "no"];

async function scored(...args: readonly string[]): Promise<Evaluation> {
  const { code, out, err } = await ft("eval", "--json", ...args);
  expect(err).toBe("");
  expect(code).toBe(0);
  return JSON.parse(out);
}

const numberOf = ({ measures }: Evaluation, name: string, subject = 0): number | undefined =>
  measures.find((measure) => measure.name === name)?.scores[subject]?.value;

describe("ft eval of files", () => {
  it("scores predictions against references, as the metrics do, with the usual ones", async () => {
    const at = await files({ "a.txt": answers, "r.txt": truths });
    const evaluation = await scored("--predictions", at("a.txt"), "--references", at("r.txt"));
    expect(evaluation.measures.map(({ name }) => name)).toEqual([
      ...["bleu", "rouge1", "rouge2", "rougeL", "rougeLsum", "chrf", "exact-match", "f1"],
    ]);
    expect(numberOf(evaluation, "exact-match")).toBe(0.25);
    expect(numberOf(evaluation, "f1")).toBeCloseTo((2 * (4 / 4) * (4 / 5)) / (1 + 4 / 5) / 4 + 0.25, 12);
    expect(evaluation.measures[0]?.signature).toBe("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
    for (const { scores } of evaluation.measures)
      for (const { low, high, value } of scores) expect(low <= value && value <= high).toBe(true);
    expect(evaluation.worst.rows[0]).toMatchObject({ index: 2, row: 3, references: ["nothing was said"] });
  });

  it("has the numbers of the metrics, which those of the Python libraries are the witness of", async () => {
    const at = await files({ "a.txt": answers, "r.txt": truths });
    const metrics = ["--metrics", "bleu,bleu-zh,chrf,chrf++,rouge,rouge-zh"];
    const evaluation = await scored("--predictions", at("a.txt"), "--references", at("r.txt"), ...metrics);
    const references = truths.map((truth) => [truth]);
    const of = <Result>(metric: Metric<Result>) => metric.value(corpusScore(metric, answers, references));
    const types = ["rouge1", "rouge2", "rougeL", "rougeLsum"] as const;
    const tokenizer = rougeCharacters;
    expect(Object.fromEntries(evaluation.measures.map(({ name, scores }) => [name, scores[0]?.value]))).toEqual({
      bleu: of(bleu()),
      "bleu-zh": of(bleu({ tokenizer: "zh" })),
      chrf: of(chrf()),
      "chrf++": of(chrf({ wordOrder: 2 })),
      ...Object.fromEntries(types.map((type) => [type, of(rouge({ types: [type] }))])),
      ...Object.fromEntries(types.map((type) => [`${type}-zh`, of(rouge({ types: [type], tokenizer }))])),
    });
  });

  it("compares a second file with the first, in a table and in files", async () => {
    const at = await files({ "a.txt": answers, "b.txt": truths, "r.txt": truths });
    const out = at("out");
    const asked = ["--predictions", at("a.txt"), "--predictions", at("b.txt"), "--references", at("r.txt")];
    const ran = await ft("eval", ...asked, "--metrics", "chrf, exact-match", "--out", out);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toMatch(/^ +a\.txt +b\.txt +difference +p$/m);
    expect(ran.out).toMatch(
      /^exact-match ↑ +0\.2500 \[0\.0000, 0\.7500\] +1\.0000 \[1\.0000, 1\.0000\] +\+0\.7500 +0\.\d{3}$/m,
    );
    const markdown = await readFile(join(out, "eval.md"), "utf8");
    expect(markdown).toContain("|  | a.txt | b.txt | difference | p |\n| --- | --- | --- | --- | --- |\n| chrf ↑ | ");
    const kept: Evaluation = JSON.parse(await readFile(join(out, "eval.json"), "utf8"));
    expect(kept).toMatchObject({
      version: 1,
      finished: true,
      rows: 4,
      subjects: [{ name: "a.txt" }, { name: "b.txt" }],
    });
    // the folder is that of these files
    await writeFile(at("a.txt"), "other\n".repeat(4));
    expectRefusal(
      await ft("eval", ...asked, "--out", out),
      /holds an evaluation of something else: .*a\.txt was [0-9a-f]{16}, is [0-9a-f]{16}\n {2}choose another --out/,
      at("none"),
    );
  });

  it("calls a difference of none by chance", async () => {
    const at = await files({ "a.txt": answers, "b.txt": answers, "r.txt": truths });
    const asked = ["--predictions", at("a.txt"), "--predictions", at("b.txt"), "--references", at("r.txt")];
    for (const { scores } of (await scored(...asked)).measures)
      expect(scores[1]?.against).toEqual({ difference: 0, p: 1 });
  });

  it("takes the nearest of several references", async () => {
    const at = await files({ "a.txt": answers, "r.txt": truths, "s.txt": answers });
    const evaluation = await scored(
      "--predictions",
      at("a.txt"),
      "--references",
      at("r.txt"),
      "--references",
      at("s.txt"),
    );
    expect(numberOf(evaluation, "exact-match")).toBe(1);
    expect(evaluation.measures[0]?.signature).toMatch(/^nrefs:2\|/);
  });

  it("reads line breaks of either kind and empty lines", async () => {
    const folder = await emptyFolder();
    const [a, r] = [join(folder, "a.txt"), join(folder, "r.txt")];
    await writeFile(a, "\ufeffone\r\n\r\nthree");
    await writeFile(r, "one\n\nthree\n");
    const evaluation = await scored("--predictions", a, "--references", r, "--metrics", "exact-match");
    expect(evaluation.rows).toBe(3);
    expect(numberOf(evaluation, "exact-match")).toBe(1);
  });
});

describe("ft eval refuses", () => {
  it("files with different numbers of lines", async () => {
    const at = await files({ "a.txt": answers, "r.txt": truths.slice(1) });
    const ran = await ft("eval", "--predictions", at("a.txt"), "--references", at("r.txt"), "--out", at("out"));
    expectRefusal(ran, /r\.txt has 3 lines, .*a\.txt has 4\n {2}line i of each file/, at("out"));
  });

  it("predictions without references, and files that are not there or empty", async () => {
    const at = await files({ "a.txt": answers });
    await writeFile(at("empty.txt"), "");
    const of = (...args: readonly string[]) => ft("eval", "--predictions", at("a.txt"), "--out", at("out"), ...args);
    expectRefusal(await of(), /there are no references\n {2}give --references FILE/, at("out"));
    expectRefusal(await of("--references", at("gone.txt")), /gone\.txt cannot be read/, at("out"));
    expectRefusal(await of("--references", at("empty.txt")), /empty\.txt: is empty/, at("out"));
  });

  it("a metric that is none, with the one that is meant", async () => {
    const at = await files({ "a.txt": answers });
    const of = (metrics: string) =>
      ft("eval", "--predictions", at("a.txt"), "--references", at("a.txt"), "--metrics", metrics, "--out", at("out"));
    expectRefusal(await of("bleu,rogue"), /there is no metric "rogue"\n {2}did you mean rouge\?/, at("out"));
    expectRefusal(await of("quality"), /there is no metric "quality"\n {2}take some of perplexity, bleu/, at("out"));
    expectRefusal(await of(","), /--metrics is empty/, at("out"));
    expectRefusal(await of("perplexity"), /--metrics perplexity needs a model/, at("out"));
  });

  it("what contradicts itself", async () => {
    const at = await files({ "a.txt": answers });
    const [a, none] = [at("a.txt"), at("none")];
    expectRefusal(await ft("eval", "--data", a), /--model is needed\n {2}give --model and --data, or/, none);
    expectRefusal(await ft("eval", "--model", a), /--data is needed/, none);
    expectRefusal(
      await ft("eval", "--model", a, "--data", a, "--references", a),
      /--references without --predictions/,
      none,
    );
    expectRefusal(
      await ft("eval", "--predictions", a, "--references", a, "--model", a),
      /--model beside --predictions/,
      none,
    );
    expect(existsSync(none)).toBe(false);
  });
});
