import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { FtError } from "@ft/tensor";
import { sharedData } from "@ft/testing";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Conversation, loadRows } from "../index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "ft-rows-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function load(name: string, content: string | Uint8Array): Promise<Conversation[]> {
  await writeFile(path.join(folder, name), content);
  return loadRows(path.join(folder, name));
}

/** The message without the temporary folder, or "loaded" where nothing failed. */
async function complaint(name: string, content: string | Uint8Array): Promise<string> {
  try {
    await load(name, content);
    return "loaded";
  } catch (error) {
    if (!FtError.is(error)) throw error;
    return error.message.replaceAll(folder + path.sep, "");
  }
}

const texts = (rows: Conversation[]): string[][] =>
  rows.map((row) => row.messages.map((m) => `${m.role}${m.train ? "*" : ""}: ${m.content}`));

describe("loadRows", () => {
  it("reads Alpaca rows", async () => {
    const rows = await load(
      "a.json",
      JSON.stringify([
        { instruction: "Add.", input: "2 2", output: "4" },
        { instruction: "Hi", input: "", output: "Hello" },
        {
          instruction: "c",
          input: null,
          output: "C",
          system: "S",
          history: [
            ["a", "A"],
            ["b", "B"],
          ],
        },
      ]),
    );
    expect(texts(rows)).toEqual([
      ["user: Add.\n2 2", "assistant*: 4"],
      ["user: Hi", "assistant*: Hello"],
      ["system: S", "user: a", "assistant*: A", "user: b", "assistant*: B", "user: c", "assistant*: C"],
    ]);
    expect(rows.map((row) => row.source.row)).toEqual([1, 2, 3]);
  });

  it("reads messages, bare arrays of messages, weights and text parts from JSONL", async () => {
    const lines = [
      {
        messages: [
          { role: "user", content: "q" },
          { role: "assistant", content: "a", weight: 0 },
          { role: "assistant", content: "b", weight: 1 },
        ],
      },
      [
        { role: "tool", content: "t" },
        {
          role: "assistant",
          content: [
            { type: "text", text: "x" },
            { type: "text", text: "y" },
          ],
        },
      ],
    ];
    const rows = await load("m.jsonl", `\uFEFF${JSON.stringify(lines[0])}\r\n\n${JSON.stringify(lines[1])}`);
    expect(texts(rows)).toEqual([
      ["user: q", "assistant: a", "assistant*: b"],
      ["tool: t", "assistant*: xy"],
    ]);
    expect(rows.map((row) => row.source.row)).toEqual([1, 3]);
  });

  it("keeps characters that fall across the pieces in which a file is read", async () => {
    const row = (i: number): string => JSON.stringify({ instruction: `${i}`, output: "é好🙂".repeat(1 + (i % 7)) });
    const rows = await load("big.jsonl", Array.from({ length: 60_000 }, (_, i) => row(i)).join("\n"));
    expect(rows.length).toBe(60_000);
    expect(
      rows.every((r, i) => r.messages[0]!.content === `${i}` && r.messages[1]!.content === "é好🙂".repeat(1 + (i % 7))),
    ).toBe(true);
  });

  const good = '{"instruction": "a", "output": "b"}';
  const assistant = '{"role": "assistant", "content": "x"}';
  const messages = (first: string): string => `{"messages": [${first}, ${assistant}]}`;
  it.each([
    ["a.jsonl", "", "a.jsonl: holds no row"],
    ["a.json", " \n", "a.json: is empty"],
    ["a.json", "[]", "a.json: holds no row"],
    ["a.txt", good, "a.txt: the ending does not tell the format"],
    ["a.json", good, "a.json: begins with an object; put the rows in [ ], or name the file .jsonl"],
    ["a.json", `[${good},\n{"instruction": "a" "output": 1}]`, "row 2 of a.json: broken JSON at line 2"],
    [
      "a.json",
      `[${good},\n\n{"instruction": "a`,
      "row 2 of a.json: broken JSON at line 3 (the file ends in the middle of it)",
    ],
    ["a.json", `[${good},]`, "row 2 of a.json: broken JSON at line 1 (there is a comma too many before it)"],
    ["a.json", `[${good}] trailing`, "text follows the end of the array"],
    ["a.jsonl", `${good}\n{"instruction": "a"`, "row 2 of a.jsonl: broken JSON"],
    [
      "a.jsonl",
      `[\n${good}\n]`,
      "row 1 of a.jsonl: broken JSON (Unexpected end of JSON input); this looks like a JSON array: name the file .json",
    ],
    ["a.jsonl", `${good}\n7`, "row 2 of a.jsonl: is a number, not an object"],
    [
      "a.jsonl",
      `{"text": "a"}`,
      `row 1 of a.jsonl: has the fields "text"; a row needs "messages" (OpenAI) or "instruction" and "output" (Alpaca)`,
    ],
    ["a.jsonl", "{}", "row 1 of a.jsonl: is an empty object"],
    ["a.jsonl", `{"instruction": "a"}`, `row 1 of a.jsonl: field "output" is missing`],
    ["a.jsonl", `{"instruction": "a", "output": 3}`, `row 1 of a.jsonl: field "output" is a number, not a string`],
    ["a.jsonl", `{"instruction": "a", "input": {}, "output": "b"}`, `field "input" is an object, not a string`],
    ["a.jsonl", `{"instruction": "a", "output": "b", "history": "c"}`, `field "history" is a string, not an array`],
    [
      "a.jsonl",
      `{"instruction": "a", "output": "b", "history": [["c"]]}`,
      "history[0] is an array of 1, not a pair of strings",
    ],
    [
      "a.jsonl",
      `{"instruction": "a", "output": "b", "history": [["c", "d"], ["e", null]]}`,
      "history[1][1] is null, not a string",
    ],
    ["a.jsonl", `{"messages": 1}`, `row 1 of a.jsonl: "messages" is a number, not an array`],
    ["a.jsonl", `{"messages": []}`, "row 1 of a.jsonl: no message has the role assistant"],
    ["a.jsonl", messages("5"), "row 1 of a.jsonl: messages[0] is a number, not an object"],
    [
      "a.jsonl",
      messages(`{"role": "bot", "content": "x"}`),
      `messages[0].role is "bot"; use one of system, user, assistant, tool`,
    ],
    ["a.jsonl", messages(`{"content": "x"}`), "messages[0].role is missing"],
    ["a.jsonl", messages(`{"role": "user"}`), "messages[0].content is missing, not a string"],
    [
      "a.jsonl",
      messages(`{"role": "user", "content": [{"type": "image_url"}]}`),
      "messages[0].content[0] is not a text part",
    ],
    ["a.jsonl", messages(`{"role": "assistant", "content": "x", "weight": 2}`), "messages[0].weight is 2; use 0"],
    ["a.jsonl", messages(`{"role": "user", "content": "x", "weight": 1}`), "messages[0].weight is 1 on a user message"],
  ])("%s %s", async (name, content, expected) => {
    expect(await complaint(name, content)).toContain(expected);
  });

  it("names the row whose bytes are not UTF-8, and the file that is not there", async () => {
    const bytes = Buffer.concat([Buffer.from(`${good}\n`), Buffer.from([0xff, 0xfe, 0x41])]);
    expect(await complaint("b.jsonl", bytes)).toBe("row 2 of b.jsonl: the bytes are not UTF-8; save the file as UTF-8");
    await expect(loadRows(path.join(folder, "none.jsonl"))).rejects.toMatchObject({ code: "missing" });
    await expect(loadRows(path.join(folder, "none.json"))).rejects.toMatchObject({ code: "missing" });
  });

  it("answers any damage with an FtError that names the file", async () => {
    const whole = [good, messages(`{"role": "user", "content": "q"}`), `[${assistant}]`];
    const damaged = (text: string) =>
      fc
        .tuple(fc.nat(text.length), fc.nat(8), fc.string({ maxLength: 4 }))
        .map(([at, drop, add]) => text.slice(0, at) + add + text.slice(at + drop));
    const json = fc.json().map((value) => ["j.jsonl", value] as const);
    const lines = damaged(whole.join("\n")).map((text) => ["d.jsonl", text] as const);
    const array = damaged(`[${whole.join(",\n")}]`).map((text) => ["d.json", text] as const);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(json, lines, array), async ([name, text]) => {
        const said = await complaint(name, text);
        if (said !== "loaded") {
          expect(said).toContain(name);
          refused++;
        }
      }),
      { numRuns: 600, seed: 3 },
    );
    expect(refused).toBeGreaterThan(300);
  });

  it.skipIf(sharedData("instruct") === undefined)("reads real data sets", async () => {
    const count = async (name: string): Promise<number> => (await loadRows(sharedData(`instruct/${name}`)!)).length;
    expect(await count("alpaca_en_demo.json")).toBe(999);
    expect(await count("alpaca_zh_demo.json")).toBe(1000);
    expect(await count("identity.json")).toBe(91);
    expect(await count("openai_sft.jsonl")).toBe(128);
    expect(await count("toy_chat_fine_tuning.jsonl")).toBe(5);
    await expect(count("c4_demo.jsonl")).rejects.toThrow(/row 1 of .*c4_demo.jsonl: has the fields "text"/);
    await expect(count("dataset_info.json")).rejects.toThrow(/dataset_info.json: begins with an object/);
  });
});
