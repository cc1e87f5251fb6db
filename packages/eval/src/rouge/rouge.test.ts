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

  it.each(["plain", "stemmed"] as const)("equals rouge_score for texts of 1 to 250 lines, %s", async (name) => {
    type Lines = typeof expected & { groups: [number[], number[]][] };
    const lines: Lines = await json("eval-rouge/lines.json");
    const metric = rouge({ types: lines.types, stemmer: name === "stemmed" });
    const found = lines.groups.map(([predicted, wanted]) => {
      const prediction = predicted.map((i) => pairs[i]![0]).join("\n");
      return metric.statistics(prediction, [wanted.map((i) => pairs[i]![1][0]).join("\n")]);
    });
    expect(found.length).toBeGreaterThan(200);
    const differences = found.map((row, i) =>
      Math.max(...row.map((value, j) => Math.abs(value - lines[name][i]!.flat()[j]!))),
    );
    // the same divisions of the same counts
    expect(Math.max(...differences)).toBeLessThan(1e-12);
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
  let seed = 7;
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((n * seed) / 2 ** 32);
  };
  const list = (length: number, words: number) => Int32Array.from({ length }, () => below(words));

  it("are those of the table, which one of several too, across words of 32", () => {
    for (let round = 0; round < 400; round++) {
      const words = 1 + below(12);
      const [a, b] = [list(below(110), words), list(below(110), words)];
      expect(lcsPlaces(a, b)).toEqual(placesByTable(a, b));
      expect(lcsLength(a, b)).toBe(placesByTable(a, b).length);
    }
  });

  it("are those of the table where hardly a word matches, and of lists of many thousands", () => {
    const [a, b] = [list(3000, 2500), list(2777, 2500)];
    expect(lcsPlaces(a, b)).toEqual(placesByTable(a, b));
    const long = list(20_000, 900);
    expect(lcsPlaces(long, long).length).toBe(20_000);
  });
});

/** The whole table, read out from its end: a match goes to both, else the larger of left and up, and up where they are equal. */
function placesByTable(a: Int32Array, b: Int32Array): number[] {
  const table = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++)
      table[i]![j] = a[i - 1] === b[j - 1] ? table[i - 1]![j - 1]! + 1 : Math.max(table[i - 1]![j]!, table[i]![j - 1]!);
  const places: number[] = [];
  let [i, j] = [a.length, b.length];
  while (i > 0 && j > 0)
    if (a[i - 1] === b[j - 1]) {
      places.push(--i);
      j--;
    } else if (table[i]![j - 1]! > table[i - 1]![j]!) j--;
    else i--;
  return places;
}

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
