import { appendFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chatTemplateOf, encodeConversations, loadRows, loadTokenizer, splitRows } from "@ft/data";
import { sha256File } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { someRows, tinyModel } from "../../test/tiny-model.ts";
import { describePerplexity, heldOutRows, perplexityOver } from "./perplexity.ts";

let dir: string;
let rows: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-perplexity-"));
  await tinyModel(join(dir, "model"));
  rows = await someRows(join(dir, "rows.json"), 100);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** The folder of an adapter whose run says this of its configuration, over the rows as they are now. */
async function adapterOf(name: string, config: object): Promise<string> {
  const adapter = join(dir, name, "adapter");
  await mkdir(adapter, { recursive: true });
  const hash = await sha256File(rows);
  await writeFile(join(dir, name, "run.json"), JSON.stringify({ config, hashes: { "rows.json": hash } }));
  return adapter;
}

describe("heldOutRows", () => {
  it("are the first of a file that is given", async () => {
    const tokenizer = await loadTokenizer(join(dir, "model"));
    const found = await heldOutRows(tokenizer, 256, { data: rows, adapter: undefined });
    const first = (await loadRows(rows)).slice(0, 32);
    const { examples } = encodeConversations(tokenizer, chatTemplateOf(tokenizer), first, { maxLength: 256 });
    expect(found).toEqual({ rows: examples, what: "32 rows of rows.json" });
    const none = heldOutRows(tokenizer, 256, { data: join(dir, "none.json"), adapter: undefined });
    await expect(none).rejects.toMatchObject({ code: "missing" });
  });

  it("leaves out rows that are too long, and measures nothing where none is left", async () => {
    const tokenizer = await loadTokenizer(join(dir, "model"));
    const file = join(dir, "long.json");
    const long = { instruction: "a".repeat(300), output: "b" };
    await writeFile(file, JSON.stringify([long, { instruction: "a", output: "b" }]));
    const found = await heldOutRows(tokenizer, 256, { data: file, adapter: undefined });
    expect(found?.what).toBe("1 rows of long.json");
    await writeFile(file, JSON.stringify([long]));
    const given = heldOutRows(tokenizer, 256, { data: file, adapter: undefined });
    await expect(given).rejects.toMatchObject({ code: "data" });
    const hash = await sha256File(file);
    const adapter = join(dir, "long/adapter");
    await mkdir(adapter, { recursive: true });
    await writeFile(join(dir, "long/run.json"), JSON.stringify({ config: { validation: file }, hashes: { hash } }));
    expect(await heldOutRows(tokenizer, 256, { data: undefined, adapter })).toBeUndefined();
  });

  it("are those that a run held out, as long as its rows are as they were", async () => {
    const tokenizer = await loadTokenizer(join(dir, "model"));
    const of = (adapter: string) => heldOutRows(tokenizer, 256, { data: undefined, adapter });
    const run = await adapterOf("split", { data: rows, validationFraction: 0.1, seed: 7 });
    const { heldOut } = splitRows(await loadRows(rows), { fraction: 0.1, seed: 7 });
    const found = await of(run);
    expect(found?.what).toBe("10 held-out rows of rows.json");
    const { examples } = encodeConversations(tokenizer, chatTemplateOf(tokenizer), heldOut, { maxLength: 256 });
    expect(found?.rows).toEqual(examples);

    const own = await of(await adapterOf("own", { data: join(dir, "gone.json"), validation: rows }));
    expect(own?.what).toBe("32 held-out rows of rows.json");
    expect(await of(await adapterOf("all", { data: rows, validationFraction: 0 }))).toBeUndefined();
    expect(await of(join(dir, "model"))).toBeUndefined();
    await appendFile(rows, "\n");
    expect(await of(run)).toBeUndefined();
  });
});

it("is exp of the mean over the tokens of all rows, and says how much it rose", async () => {
  const row = { tokens: [1, 2], targets: [2, -100] };
  const likelihoods = [
    { nll: 3, tokens: 1 },
    { nll: 1, tokens: 3 },
  ];
  const measured = { rows: [row, row], what: "two rows" };
  const next = async () => likelihoods.shift() ?? { nll: Number.NaN, tokens: 1 };
  expect(await perplexityOver(measured, next, new AbortController().signal)).toBeCloseTo(Math.E, 12);
  await expect(perplexityOver(measured, next, AbortSignal.abort())).rejects.toThrow(/abort/);
  expect(describePerplexity(10, 10.25)).toBe("perplexity 10.000 before, 10.250 after (+2.50 %)");
  expect(describePerplexity(10, 9.9999999)).toBe("perplexity 10.000 before, 10.000 after (+0.00 %)");
  expect(describePerplexity(10, 9)).toBe("perplexity 10.000 before, 9.000 after (-10.00 %)");
});
