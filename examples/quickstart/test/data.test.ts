import { readFile } from "node:fs/promises";
import { corpus, corpusRows, corpusSeed, type Row } from "@ft/example-pretrain-tiny";
import { describe, expect, it } from "vitest";
import { quickstartData } from "../src/data.ts";
import { heldoutRows, seed, trainRows } from "../src/settings.ts";
import { ngrams } from "./ngrams.ts";

async function read(name: string): Promise<Row[]> {
  return JSON.parse(await readFile(new URL(`../data/${name}.json`, import.meta.url), "utf8"));
}

/** The whole row, so that a run across two fields counts too. */
const textOf = ({ system, instruction, input, output }: Row): string =>
  [system ?? "", instruction, input, output].join("\n");
/** Signs left out: eight words in a row count whatever stands between them. */
const wordsOf = (row: Row): string => textOf(row).replace(/[^\p{L}\p{N}]+/gu, " ");
const train = await read("train");
const heldout = await read("heldout");

describe("the quickstart's rows", () => {
  it("are what the generator makes", () => {
    expect({ train, heldout }).toEqual(quickstartData(seed, trainRows, heldoutRows));
  });

  it("are at least 400, in both languages", () => {
    const chinese = train.filter(({ output }) => /\p{Script=Han}/u.test(output)).length;
    expect(train.length).toBeGreaterThanOrEqual(400);
    expect(chinese / train.length).toBeCloseTo(0.5, 1);
  });

  it("hold out questions and answers that the others do not have", () => {
    const seen = new Set(train.flatMap(({ input, output }) => [input, output]));
    expect(heldout.filter(({ input, output }) => seen.has(input) || seen.has(output))).toEqual([]);
  });

  it.each([
    ["words and signs", textOf],
    ["words alone", wordsOf],
  ])(
    "share no 8-gram of %s with what the base model was trained on",
    (_, text) => {
      const ours = new Set([...train, ...heldout].flatMap((row) => [...ngrams(text(row), 8)]));
      expect(ours.size).toBeGreaterThan(10_000);
      const shared = new Set<string>();
      for (const row of corpus(corpusSeed, corpusRows))
        for (const gram of ngrams(text(row), 8)) if (ours.has(gram)) shared.add(gram);
      expect([...shared]).toEqual([]);
    },
    180_000,
  );
});

describe("ngrams", () => {
  it("counts words, numbers, signs and single Chinese characters", () => {
    expect([...ngrams("Order 3 red-cups, 请寄到北京。", 4)]).toEqual([
      "order 3 red -",
      "3 red - cups",
      "red - cups ,",
      "- cups , 请",
      "cups , 请 寄",
      ", 请 寄 到",
      "请 寄 到 北",
      "寄 到 北 京",
      "到 北 京 。",
    ]);
  });

  it("takes Chinese apart also beside numbers and Latin letters", () => {
    expect([...ngrams("填写JSON卡片3张", 7)]).toEqual(["填 写 json 卡 片 3 张"]);
  });
});
