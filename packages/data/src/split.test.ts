import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { questionKey, splitRows, toConversation } from "./index.ts";

const row = (question: string, i = 1) =>
  toConversation({ instruction: question, output: `answer ${i}` }, { file: "x", row: i });

describe("splitRows", () => {
  it("loses no row, repeats none, and asks nothing on both sides", () => {
    const question = fc
      .tuple(fc.nat(30), fc.constantFrom("", " ", "\n\t"))
      .map(([n, space]) => `${space}Question ${space} ${n}`);
    fc.assert(
      fc.property(
        fc.array(question, { minLength: 4, maxLength: 60 }),
        fc.nat(1000),
        fc.double({ min: 0.05, max: 0.5, noNaN: true }),
        (questions, seed, fraction) => {
          const rows = questions.map(row);
          fc.pre(new Set(rows.map((r) => questionKey(r.messages))).size > 1);
          const { train, heldOut } = splitRows(rows, { seed, fraction });
          expect([...train, ...heldOut].map((r) => r.source.row).sort((a, b) => a - b)).toEqual(
            rows.map((r) => r.source.row).sort((a, b) => a - b),
          );
          expect(train.length * heldOut.length).toBeGreaterThan(0);
          const seen = new Set(train.map((r) => questionKey(r.messages)));
          expect(heldOut.filter((r) => seen.has(questionKey(r.messages)))).toEqual([]);
        },
      ),
      { seed: 5 },
    );
  });

  it("holds out the number asked for, the same for the same seed, in the order of the rows", () => {
    const rows = Array.from({ length: 100 }, (_, i) => row(`q${i}`, i));
    const places = (seed: number): number[] => splitRows(rows, { seed, count: 20 }).heldOut.map((r) => r.source.row);
    expect(places(1).length).toBe(20);
    expect(places(1)).toEqual(places(1));
    expect(places(1)).not.toEqual(places(2));
    expect(places(1)).toEqual([...places(1)].sort((a, b) => a - b));
    expect(splitRows(rows, { seed: 1, fraction: 0.1 }).heldOut.length).toBe(10);
  });

  it("takes for the same question what differs in case, width or white space, whatever the system message", () => {
    const ask = (system: string, content: string) =>
      questionKey([
        { role: "system", content: system },
        { role: "user", content },
        { role: "assistant", content: "a" },
      ]);
    expect(ask("x", "Ｎａｍｅ  a\ncolour ")).toBe(ask("y", "name a COLOUR"));
    expect(ask("x", "name a colour")).not.toBe(ask("x", "name a colour?"));
  });

  it.each([
    [{ seed: 1, count: 0 }, /cannot hold out 0 rows of 3 rows/],
    [{ seed: 1, count: 3 }, /cannot hold out 3 rows of 3 rows/],
    [{ seed: 1, fraction: 0 }, /cannot hold out a fraction of 0 of 3 rows/],
    [{ seed: 1, fraction: -0.1 }, /cannot hold out a fraction of -0.1 of 3 rows/],
    [{ seed: 1, fraction: 1 }, /cannot hold out a fraction of 1 of 3 rows/],
  ])("refuses %j", (options, message) => {
    expect(() => splitRows([row("a"), row("b"), row("c")], options)).toThrow(message);
  });

  it("refuses rows that all ask the same", () => {
    expect(() => splitRows([row("a", 1), row("A", 2)], { seed: 1, count: 1 })).toThrow(/all 2 rows ask the same thing/);
  });
});
