import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { StepEvent, TrainEvent } from "../events.ts";
import { type Consumer, watched } from "./consumer.ts";
import { metricsLog } from "./metrics.ts";
import { duration, progressLog } from "./progress.ts";
import { tensorBoardLog } from "./tensorboard.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-log-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const step = (n: number, loss = 1 / n): StepEvent => ({
  type: "step",
  step: n,
  epoch: n / 10,
  loss,
  learningRate: 2e-5,
  gradNorm: 0.8,
  targetTokens: 90,
  tokens: 100,
  tokensPerSecond: 1500,
  seconds: 0.5,
});
const evaluation = (n: number): TrainEvent => ({
  type: "eval",
  step: n,
  loss: 0.7,
  metrics: { loss: 0.7, perplexity: 2 },
  best: true,
  seconds: 1,
});
const start = (n: number, from?: string): TrainEvent => ({
  type: "start",
  step: n,
  totalSteps: 6,
  ...(from !== undefined && { resumedFrom: from }),
});
const memory = { tensors: 1000, resident: 2000 };
const end = (n: number, reason: "finished" | "aborted"): TrainEvent => ({
  type: "end",
  step: n,
  reason,
  memory,
});

async function feed(consumer: Consumer, events: readonly TrainEvent[]): Promise<void> {
  for (const event of events) await consumer.event(event);
  await consumer.close();
}

describe("metrics.jsonl", () => {
  const lines = async () => (await readFile(join(dir, "metrics.jsonl"), "utf8")).trimEnd().split("\n");

  test("one object a line, in the form that is documented", async () => {
    await feed(metricsLog(dir), [start(0), step(1), evaluation(1), end(1, "finished")]);
    const [first, second, third] = await lines();
    expect(first).toBe(
      '{"type":"step","step":1,"epoch":0.1,"loss":1,"learningRate":0.00002,"gradNorm":0.8,"targetTokens":90,"tokens":100,"tokensPerSecond":1500,"seconds":0.5}',
    );
    expect(JSON.parse(second!)).toEqual({ type: "eval", step: 1, loss: 0.7, perplexity: 2, best: true, seconds: 1 });
    expect(JSON.parse(third!)).toEqual({ type: "end", step: 1, reason: "finished", memory });
  });

  test("a resumed run goes on from its checkpoint: nothing twice, no end in the middle, no torn line", async () => {
    await feed(metricsLog(dir), [start(0), step(1), step(2), evaluation(2), end(2, "aborted")]);
    // a resume that was killed two steps later, while it wrote a line
    await appendFile(join(dir, "metrics.jsonl"), `${JSON.stringify(step(3))}\n{"type":"step","st`);
    await feed(metricsLog(dir), [start(2, "step-000002"), step(3, 9), step(4, 8), end(4, "finished")]);
    const events = (await lines()).map((line) => JSON.parse(line));
    expect(events.map(({ type, step }) => `${type} ${step}`)).toEqual([
      ...["step 1", "step 2", "eval 2", "step 3", "step 4", "end 4"],
    ]);
    expect(events.map(({ loss }) => loss)).toEqual([1, 0.5, 0.7, 9, 8, undefined]);
  });

  test("a new run in the folder starts with an empty file", async () => {
    await writeFile(join(dir, "metrics.jsonl"), '{"type":"step","step":1}\n');
    await feed(metricsLog(dir), [start(0), step(1)]);
    expect(await lines()).toHaveLength(1);
  });

  test("a disk that does not take it is an io error that names the file", async () => {
    await writeFile(join(dir, "file"), "");
    const log = metricsLog(join(dir, "file"));
    await expect(feed(log, [start(0)])).rejects.toThrow(/file.metrics\.jsonl/);
  });
});

test("TensorBoard: a file per run, a resumed one declares where it takes over", async () => {
  await feed(tensorBoardLog(dir), [start(0), step(1), evaluation(1)]);
  await feed(tensorBoardLog(dir), [start(1, "step-000001"), step(2)]);
  const names = (await readdir(dir)).sort();
  expect(names).toHaveLength(2);
  const [first, second] = await Promise.all(names.map((name) => readFile(join(dir, name))));
  for (const tag of [
    "train/loss",
    "train/grad_norm",
    "train/learning_rate",
    "train/tokens_per_second",
    "eval/perplexity",
  ])
    expect(first!.includes(tag), tag).toBe(true);
  // step 2 (field 2), session_log (field 7) { status (1): START (1) }
  expect(second!.includes(Buffer.from("10023a020801", "hex"))).toBe(true);
  expect(first!.includes(Buffer.from("3a020801", "hex"))).toBe(false);
});

describe("progress", () => {
  const screen = (isTTY: boolean, columns = 100) => {
    let text = "";
    let time = 0;
    const stream = { isTTY, columns, write: (more: string) => (text += more) };
    return { log: progressLog({ stream, now: () => time }), wait: (ms: number) => (time += ms), text: () => text };
  };

  test("one line that is rewritten on a terminal", async () => {
    const { log, wait, text } = screen(true);
    log.event(start(0));
    wait(20_000);
    log.event(step(2));
    log.event(evaluation(2));
    wait(10_000);
    log.event(step(3));
    log.close();
    expect(text()).toBe(
      "\r\u001b[K[##########--------------------]  step 2/6  loss 0.5000  1.5k tokens/s  40s left" +
        "\r\u001b[Keval  step 2  loss 0.7000  (best so far)\n" +
        "\r\u001b[K[###############---------------]  step 3/6  loss 0.3333  1.5k tokens/s  30s left\n",
    );
  });

  test("never wider than the terminal", async () => {
    for (const columns of [20, 60, 70, 200]) {
      const { log, text } = screen(true, columns);
      log.event(start(0));
      log.event(step(2));
      expect(text().replace("\r\u001b[K", "").length).toBeLessThan(columns);
    }
  });

  test("plain lines elsewhere, about twenty of them", async () => {
    const { log, wait, text } = screen(false);
    log.event({ type: "start", step: 0, totalSteps: 1000 });
    for (let n = 1; n <= 1000; n++) {
      wait(100);
      log.event(step(n, 1));
    }
    log.event({ type: "warning", step: 1000, message: "look" });
    log.event({ type: "end", step: 1000, reason: "early-stopping", bestStep: 900, bestLoss: 0.5, memory });
    log.close();
    const lines = text().trimEnd().split("\n");
    expect(lines).toHaveLength(22);
    expect(lines[0]).toBe("step 50/1000  loss 1.0000  1.5k tokens/s  1m35s left");
    expect(lines.slice(-2)).toEqual([
      "warning: look",
      "stopped early, no improvement after step 1000, best loss 0.5000 at step 900",
    ]);
    expect(text()).not.toContain("\r");
  });

  test("the time left after a resume counts its own steps only", async () => {
    const { log, wait, text } = screen(false);
    log.event(start(4, "step-000004"));
    wait(3000);
    log.event(step(5));
    expect(text()).toMatch(/resumed after step 4 from step-000004\nstep 5\/6 .* 3s left/);
  });

  test("durations", () => {
    expect([0, 59.4, 59.6, 3599, 7505].map(duration)).toEqual(["0s", "59s", "1m00s", "59m59s", "2h05m"]);
  });
});

test("watched: consumers see every event first, and are closed whatever happens", async () => {
  const seen: string[] = [];
  const consumer: Consumer = {
    event: (event) => {
      seen.push(event.type);
    },
    close: () => {
      seen.push("closed");
    },
  };
  async function* failing(): AsyncGenerator<TrainEvent, void, undefined> {
    yield start(0);
    throw new Error("disk");
  }
  const read = async () => {
    for await (const event of watched(failing(), [consumer])) seen.push(`caller ${event.type}`);
  };
  await expect(read()).rejects.toThrow("disk");
  expect(seen).toEqual(["start", "caller start", "closed"]);
});
