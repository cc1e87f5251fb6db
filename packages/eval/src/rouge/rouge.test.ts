import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { accumulate } from "../metric.ts";
import { lcsLength, lcsPlaces } from "./lcs.ts";
import { type RougeType, rouge } from "./rouge.ts";
import { rougeCharacters } from "./tokenize.ts";

const goldens = new URL("../../../../tools/goldens/data/", import.meta.url);
const json = async (name: string) => JSON.parse(await readFile(new URL(name, goldens), "utf8"));
const { pairs }: { pairs: [string, string[]][] } = await json("eval-pairs/pairs.json");
const expected: { types: RougeType[]; plain: number[][][]; stemmed: number[][][] } =
  await json("eval-rouge/scores.json");

describe("rouge", () => {
  it.each(["plain", "stemmed"] as const)("equals rouge_score for every pair, %s", (name) => {
    const metric = rouge({ types: expected.types, stemmer: name === "stemmed" });
    const sums = new Array<number>(15).fill(0);
    const all = accumulate(metric);
    let largest = 0;
    for (const [i, [prediction, references]] of pairs.entries()) {
      const want = expected[name][i]!.flat();
      for (const [j, value] of metric.statistics(prediction, references).entries()) {
        largest = Math.max(largest, Math.abs(value - want[j]!));
        sums[j]! += want[j]!;
      }
      all.add(prediction, references);
    }
    expect(expected[name].length).toBe(pairs.length);
    // the same divisions of the same counts
    expect(largest).toBeLessThan(1e-12);
    for (const [at, type] of expected.types.entries())
      expect(all.result().get(type)?.fmeasure).toBeCloseTo(sums[3 * at + 2]! / pairs.length, 12);
  });

  it("merges what two workers have seen", () => {
    const metric = rouge();
    const [whole, one, two] = [accumulate(metric), accumulate(metric), accumulate(metric)];
    for (const [i, [prediction, references]] of pairs.slice(0, 40).entries()) {
      whole.add(prediction, references);
      (i % 2 === 0 ? one : two).add(prediction, references);
    }
    one.merge(JSON.parse(JSON.stringify(two.state())));
    for (const [type, { fmeasure }] of whole.result())
      expect(one.result().get(type)?.fmeasure).toBeCloseTo(fmeasure, 12);
  });

  it("counts Chinese with a tokenizer for it, and nothing without, as the library", () => {
    const [prediction, reference] = ["长城很长", "长城是很长的 GPT4"];
    expect(rouge({ types: ["rouge1"] }).statistics(prediction, [reference])).toEqual([0, 0, 0]);
    expect(rougeCharacters(reference)).toEqual(["长", "城", "是", "很", "长", "的", "gpt4"]);
    const [precision, recall] = rouge({ types: ["rouge1"], tokenizer: rougeCharacters }).statistics(prediction, [
      reference,
    ]);
    expect([precision, recall]).toEqual([1, 4 / 7]);
  });

  it("refuses no references and no such type", () => {
    expect(() => rouge().statistics("a", [])).toThrow(/no references/);
    const type: string = "rougeW";
    expect(() => rouge({ types: [type as RougeType] })).toThrow(/rougeW/);
  });
});

describe("longest common subsequences", () => {
  it("are as long by bits as by the table, across words of 32", () => {
    let seed = 7;
    const random = (): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed / 2 ** 32;
    };
    for (let round = 0; round < 200; round++) {
      const list = () => Int32Array.from({ length: Math.floor(100 * random()) }, () => Math.floor(6 * random()));
      const [a, b] = [list(), list()];
      expect(lcsLength(a, b)).toBe(lcsPlaces(a, b).length);
    }
  });
});

const shared = new URL("../../../../../shared/data/eval/rouge/", import.meta.url);
it.skipIf(!existsSync(shared))("agrees with what ROUGE-1.5.5 measured (needs ../shared)", async () => {
  const text = async (name: string) => readFile(new URL(name, shared), "utf8");
  const { file_rows: rows } = JSON.parse(await text("expected.json"));
  const [targets, predictions] = [(await text("target.txt")).split("\n"), (await text("prediction.txt")).split("\n")];
  expect(rows.length).toBe(10);
  for (const { type, use_stemmer: stemmer, line, ...want } of rows) {
    const metric = rouge({ types: [type], stemmer });
    const [precision = 0, recall = 0, fmeasure = 0] = metric.statistics(predictions[line]!, [targets[line]!]);
    // printed with five decimals
    expect(precision).toBeCloseTo(want.precision, 4.9);
    expect(recall).toBeCloseTo(want.recall, 4.9);
    expect(fmeasure).toBeCloseTo(want.fmeasure, 4.9);
  }
});
