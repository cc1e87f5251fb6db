import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { expect, it } from "vitest";
import { porterStem, rouge, rougeWords } from "../src/index.ts";
import { naturalStemmer, naturalTokenizer } from "../src/natural.ts";

it("plugs natural's parts in without its root, which reads .env and loads database drivers", () => {
  const before = { ...process.env };
  const stem = naturalStemmer("porter");
  expect(stem("running")).toBe("run");
  expect(naturalStemmer("lancaster")("maximum")).toBe("maxim");
  const tokenize = naturalTokenizer("word");
  expect(tokenize("Two words, no more.")).toEqual(["Two", "words", "no", "more"]);
  expect(naturalTokenizer("treebank")("can't stop")).toEqual(["ca", "n't", "stop"]);
  expect(naturalTokenizer("word-punct")("one. two")).toEqual(["one", ".", "two"]);
  expect(naturalTokenizer("aggressive")("a-b c")).toEqual(["a-b", "c"]);
  const [precision] = rouge({ types: ["rouge1"], tokenizer: rougeWords(stem) }).statistics("running dogs", ["run dog"]);
  expect(precision).toBe(1);
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  expect(loaded.some((file) => file.includes("porter_stemmer"))).toBe(true);
  expect(loaded.filter((file) => /node_modules[\\/](dotenv|mongoose|pg|redis|memjs)[\\/]/.test(file))).toEqual([]);
  expect(process.env).toEqual(before);
});

it("differs from NLTK's Porter for the words that the README counts", async () => {
  const file = new URL("../../../tools/goldens/data/eval-rouge/stems.json", import.meta.url);
  const stems: Record<string, string> = JSON.parse(await readFile(file, "utf8"));
  const stem = naturalStemmer("porter");
  const words = Object.keys(stems);
  const different = words.filter((word) => stem(word) !== stems[word]);
  expect([different.length, words.length]).toEqual([338, 11_070]);
  const examples = ["enjoy", "dying", "canning", "headfulli", "skilfully", "donkeys", "axes"];
  expect(examples.map(porterStem)).toEqual(["enjoy", "die", "canning", "head", "skil", "donkey", "axe"]);
  expect(examples.map(stem)).toEqual(["enjoi", "dy", "can", "headfulli", "skilfulli", "donkei", "ax"]);
});
