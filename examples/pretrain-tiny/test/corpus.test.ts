import { describe, expect, it } from "vitest";
import { corpusRow, corpusSeed, tasks } from "../src/corpus.ts";
import { createRandom } from "../src/random.ts";
import type { Row } from "../src/row.ts";

const drawn = (name: string, count: number): Row[] => {
  const task = tasks.find((one) => one.name === name)!;
  return Array.from({ length: count }, (_, index) => task.make(createRandom(1, 9, index)));
};

describe("the corpus", () => {
  it("makes every row from seed and number alone", () => {
    const forwards = Array.from({ length: 50 }, (_, index) => corpusRow(corpusSeed, index));
    const backwards = Array.from({ length: 50 }, (_, index) => corpusRow(corpusSeed, 49 - index));
    expect(backwards.reverse()).toEqual(forwards);
    expect(corpusRow(corpusSeed + 1, 0)).not.toEqual(forwards[0]);
  });

  it.each(tasks.map(({ name }) => name))("%s: questions and answers are whole", (name) => {
    for (const { instruction, input, output } of drawn(name, 300))
      for (const text of [instruction, input, output]) {
        expect(text).not.toMatch(/undefined|NaN|NAME|CITY|THING|ANIMAL|JOB|COLOUR/);
        expect(text.trim()).toBe(text);
        expect(text).not.toBe("");
      }
  });

  it("answers rightly where the answer can be worked out", () => {
    for (const { input, output } of [...drawn("en-repeat", 200), ...drawn("zh-repeat", 200)])
      expect(output).toBe(input);
    for (const { input, output } of drawn("en-swap", 200)) expect(output.split(" ").reverse().join(" ")).toBe(input);
    for (const { instruction, input, output } of [...drawn("en-larger", 200), ...drawn("zh-larger", 200)]) {
      const offered = input.split(" ").map(Number);
      expect(Number(output)).toBe(/larger|大/.test(instruction) ? Math.max(...offered) : Math.min(...offered));
    }
    for (const { instruction, input, output } of drawn("en-pick", 200)) {
      const at = /first/.test(instruction) ? 0 : /second/.test(instruction) ? 1 : -1;
      expect(output).toBe(input.split(" ").at(at));
    }
    for (const { input, output } of [...drawn("en-gaps", 200), ...drawn("zh-gaps", 200)]) {
      const [fills = "", form = ""] = input.split(/: |：/);
      const words = fills.split(/ ?\+ ?/);
      expect(output).toBe(form.replace(/_/g, () => words.shift()!));
    }
  });
});
