import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Script } from "node:vm";
import { describe, expect, it } from "vitest";
import { reportCommand } from "../src/commands/report.ts";
import type { EvaluatedRow, Evaluation } from "../src/eval/evaluation.ts";
import { createIo } from "../src/io.ts";
import { writeReport } from "../src/report/write-report.ts";
import { emptyFolder, ft } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

const hostile = '</script><img src=x onerror="alert(1)"><!--\u0000';

/** A run of six steps with held-out rows, as files. */
async function smallRun(...flags: readonly string[]): Promise<string> {
  const folder = await emptyFolder();
  const model = await tinyModel(join(folder, "model"));
  const data = await someRows(join(folder, "rows.json"), 24);
  const out = join(folder, "first-run");
  const given = ["--model", model, "--data", data, "--out", out, "--threads", "1", "--max-steps", "6"];
  const ran = await ft("train", ...given, "--validation-fraction", "0.25", "--eval-every", "2", ...flags);
  expect(ran.code, ran.err).toBe(0);
  expect(ran.err).toContain(`report      ${join(out, "report.html")}`);
  return out;
}

/** A folder of a run that was never made: only what the page reads. */
async function recorded(metrics: readonly (object | string)[], record: object = { config: {} }): Promise<string> {
  const folder = await emptyFolder();
  await writeFile(join(folder, "run.json"), JSON.stringify(record));
  const lines = metrics.map((line) => (typeof line === "string" ? line : `${JSON.stringify(line)}\n`));
  await writeFile(join(folder, "metrics.jsonl"), lines.join(""));
  return folder;
}

const page = async (run: string): Promise<string> => readFile(await writeReport(run), "utf8");
const dataOf = (text: string): any =>
  JSON.parse(/<script type="application\/json" id="curve-data">([\s\S]*?)<\/script>/.exec(text)![1]!);

const step = (n: number, changes: object = {}): object => ({
  ...{ type: "step", step: n, epoch: n / 100, loss: 2 + Math.sin(n) / 3 + 1 / n, learningRate: 1e-4, gradNorm: 1 / n },
  ...{ targetTokens: 100, tokens: 200 + (n % 7), tokensPerSecond: 1000 + (n % 13), seconds: 0.2 },
  ...changes,
});

function evaluation(changes: Partial<Evaluation> = {}): Evaluation {
  const row = (index: number, prediction: string): EvaluatedRow => ({
    index,
    row: index + 1,
    prompt: [{ role: "user", content: `What is ${index}?${hostile}` }],
    references: ["one two three four"],
    answers: [
      { subject: "base", prediction: "one two five four", scores: { rougeL: 0.75 } },
      { subject: "tuned", prediction, scores: { rougeL: 0.5 } },
    ],
  });
  return {
    version: 1,
    created: "2026-01-02T03:04:05Z",
    finished: true,
    fingerprint: {},
    subjects: [{ name: "base" }, { name: "tuned", path: "run" }],
    rows: 2,
    leftOut: 0,
    resampling: { confidence: 0.95, samples: 1000, seed: 0 },
    measures: [
      {
        ...{ name: "rougeL", better: "higher", digits: 4 },
        scores: [
          { subject: "base", value: 0.1234, low: 0.1, high: 0.2 },
          { subject: "tuned", value: 0.6543, low: 0.6, high: 0.7, against: { difference: 0.5309, p: 0.0002 } },
        ],
      },
    ],
    worst: { by: "rougeL", rows: [row(1, "none of it")] },
    samples: [row(0, hostile)],
    ...changes,
  };
}

describe("the page of a run that was trained", () => {
  let written: Promise<string> | undefined;
  const trained = (): Promise<string> => {
    written ??= smallRun().then((out) => readFile(join(out, "report.html"), "utf8"));
    return written;
  };

  it("has every section, the figures, and the curves as data", async () => {
    const text = await trained();
    for (const id of ["curves", "metrics", "memory", "data", "setup"]) expect(text).toContain(`<section id="${id}"`);
    expect(text).toContain("<h1>first-run</h1>");
    expect(text).toContain(">finished</span>");
    expect(text).toContain("Validation loss, best");
    const { points, evaluations, best, clipNorm } = dataOf(text);
    expect(points.step).toEqual([1, 2, 3, 4, 5, 6]);
    for (const column of ["loss", "gradNorm", "tokensPerSecond", "tokens", "seconds"])
      expect(points[column].every((value: unknown) => typeof value === "number")).toBe(true);
    expect(evaluations.step).toEqual([0, 2, 4, 6]);
    expect(evaluations.step).toContain(best);
    expect(clipNorm).toBe(1);
  });

  it("has planned beside measured memory, the rows and the machine, which the run has recorded", async () => {
    const text = await trained();
    expect(text).toMatch(/Whole process<\/th><td><svg[\s\S]*?<span>[\d.]+ MB<\/span>[\s\S]*?<span>[\d.]+ MB<\/span>/);
    expect(text).toMatch(/class="stack"[^>]*aria-label="weights [\d.]+ kB, adapters/);
    expect(text).toMatch(/<th scope="row">Rows<\/th><td>18<\/td><td>6<\/td>/);
    expect(text).toContain('class="histogram"');
    expect(text).toContain("cpu, native kernels, 1 thread");
  });

  it("asks for nothing outside itself, and its policy allows this script and no other", async () => {
    const text = await trained();
    expect(text).not.toMatch(/https?:\/\//i);
    expect(text).not.toMatch(/\s(?:src|srcset|href|action|data)\s*=\s*"(?!#|data:,")/i);
    expect(text).not.toMatch(
      /url\((?!#)|@import|\bfetch\(|XMLHttpRequest|innerHTML|insertAdjacentHTML|document\.write/,
    );
    expect(text).not.toMatch(/<[^>]+\sstyle=|<[^>]+\son\w+=/);
    const [, policy] = /Content-Security-Policy" content="([^"]*)"/.exec(text)!;
    expect(policy).toContain("default-src &#39;none&#39;");
    const script = /<script>([\s\S]*?)<\/script>/.exec(text)![1]!;
    const style = /<style>([\s\S]*?)<\/style>/.exec(text)![1]!;
    for (const inline of [script, style])
      expect(policy).toContain(`&#39;sha256-${createHash("sha256").update(inline).digest("base64")}&#39;`);
    // one scope without imports: it parses as a plain script
    expect(() => new Script(script)).not.toThrow();
    expect(text.match(/<script/g)).toHaveLength(2);
    expect(text.length).toBeLessThan(100_000);
  });
});

it("is made for a run that ended without a result, whose log was torn", async () => {
  const out = await smallRun();
  await rm(join(out, "report.html"));
  const metrics = (await readFile(join(out, "metrics.jsonl"), "utf8")).split("\n");
  const cut = metrics.findIndex((line) => line.includes('"type":"step","step":5'));
  await writeFile(join(out, "metrics.jsonl"), `${metrics.slice(0, cut).join("\n")}\n{"type":"step","st`);
  const text = await page(out);
  expect(text).toContain(">ended without a result</span>");
  expect(text).toContain("1 line of metrics.jsonl could not be read and is left out.");
  expect(text).toContain("The measured peak is written at the end of a run");
  expect(dataOf(text).points.step).toEqual([1, 2, 3, 4]);
});

it("a run that is refused leaves the page as it was", async () => {
  const out = await smallRun();
  await writeFile(join(out, "report.html"), "kept");
  const again = await ft("train", "--out", out, "--resume", "--seed", "5", "--threads", "1");
  expect(again.code).toBe(2);
  expect(await readFile(join(out, "report.html"), "utf8")).toBe("kept");
});

it("a page that cannot be written is said, and loses nothing else", async () => {
  const out = await smallRun();
  await rm(join(out, "report.html"));
  await mkdir(join(out, "report.html", "in the way"), { recursive: true });
  const more = await ft("train", "--out", out, "--resume", "--max-steps", "8", "--threads", "1");
  expect(more.code, more.err).toBe(0);
  expect(more.err).toMatch(/report\.html was not written: .*report\.html/);
  expect(await readdir(join(out, "adapter"))).toContain("adapter_model.safetensors");
});

describe("an evaluation", () => {
  it("is shown with intervals, answers side by side, and what a model wrote stays text", async () => {
    const run = await recorded([step(1)]);
    await mkdir(join(run, "eval"));
    await writeFile(join(run, "eval", "eval.json"), JSON.stringify(evaluation()));
    const text = await page(run);
    expect(text).toContain("<b>0.6543</b> <small>[0.6000, 0.7000]</small>");
    expect(text).toContain('<small class="gain">+0.5309, p &lt; 0.001</small>');
    expect(text).toContain("one two <mark>five</mark> four");
    expect(text).not.toContain("<img");
    expect(text.match(/<script/g)).toHaveLength(2);
    expect(text).toContain("&lt;/script&gt;&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&lt;!--\uFFFD");
  });

  it("with more text than a page should hold shows what fits and says so", async () => {
    const run = await recorded([step(1)]);
    const [row] = evaluation().samples;
    const long = "word ".repeat(3000);
    const rows = Array.from({ length: 60 }, (_, index) => ({
      ...{ ...row!, index, row: index + 1, references: [long] },
      answers: row!.answers.map((answer) => ({ ...answer, prediction: long })),
    }));
    const folder = await emptyFolder();
    await writeFile(join(folder, "eval.json"), JSON.stringify(evaluation({ samples: rows })));
    const text = await readFile(await writeReport(run, { evaluation: folder }), "utf8");
    expect(text.length).toBeLessThan(250_000);
    expect(text).toMatch(/\d+ more rows would make this page too large/);
    expect(text).toContain("more characters)");
  });

  it.each([
    ["a folder without one", undefined, "missing", /has no eval\.json/],
    ["something else", '{"version": 2}', "format", /is not an evaluation of version 1/],
    ["torn", '{"version": 1, "sub', "format", /is not JSON/],
  ])("%s is refused", async (_, content, code, message) => {
    const run = await recorded([step(1)]);
    const folder = await emptyFolder();
    if (content !== undefined) await writeFile(join(folder, "eval.json"), content);
    const told = { code, message: expect.stringMatching(message) };
    await expect(writeReport(run, { evaluation: folder })).rejects.toMatchObject(told);
    expect(await readdir(run)).not.toContain("report.html");
  });
});

it("10,000 steps make less than 400 KB, and no spike is lost", async () => {
  const steps = Array.from({ length: 10_000 }, (_, i) =>
    step(i + 1, i === 6789 ? { loss: 99 } : i === 4321 ? { loss: null, gradNorm: null, skipped: true } : {}),
  );
  const run = await recorded(steps);
  const text = await page(run);
  expect((await stat(join(run, "report.html"))).size).toBeLessThan(400_000);
  const { points, means, bucket } = dataOf(text);
  expect(Math.max(...points.loss)).toBe(99);
  expect(points.loss[points.step.indexOf(4322)]).toBe(null);
  expect(points.step.length).toBeLessThanOrEqual(3100);
  expect([points.step[0], points.step.at(-1)]).toEqual([1, 10_000]);
  expect(means.step).toHaveLength(Math.ceil(10_000 / bucket));
  expect(text).toContain("Of 10,000 steps, each group of");
  expect(text).toContain("The training loss was not finite in 1 step, first in step 4322.");
  expect(text).toContain("1 step changed nothing but the loss scale");
});

it("says what is not there: no steps, no validation, no record of rows and memory", async () => {
  const text = await page(await recorded([]));
  for (const words of ["has no steps yet", "Not evaluated yet", "Neither a plan nor", "Nothing about the rows"])
    expect(text).toContain(words);
  const trained = await page(await recorded([step(1), { type: "end", step: 1, reason: "finished" }]));
  expect(trained).toContain("There were no rows held out");
  expect(trained).toContain(">finished</span>");
});

describe("ft report", () => {
  const say = (out: string[]) => createIo(false, { out: (text) => out.push(text), err: () => {} });

  it("writes where it is told to, and prints the path", async () => {
    const run = await recorded([step(1), "[1, 2]\n", "null\n", '{"type":"step"}\n']);
    const told: string[] = [];
    const out = join(run, "pages", "one.html");
    await reportCommand(run, { out }, say(told));
    expect(told).toEqual([`${out}\n`]);
    expect(await readFile(out, "utf8")).toContain("3 lines of metrics.jsonl could not be read and are left out.");
    expect(await readdir(run)).not.toContain("report.html");
  });

  it("of a folder that holds no run is an error that says so", async () => {
    const folder = await emptyFolder();
    await expect(reportCommand(folder, {}, say([]))).rejects.toMatchObject({
      code: "missing",
      message: expect.stringContaining("it has no run.json"),
    });
    await writeFile(join(folder, "run.json"), "[]");
    await expect(reportCommand(folder, {}, say([]))).rejects.toMatchObject({ code: "format" });
    await expect(reportCommand(folder, { out: "page.pdf" }, say([]))).rejects.toMatchObject({ code: "config" });
  });
});
