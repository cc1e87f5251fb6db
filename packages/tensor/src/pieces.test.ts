import { expect, it } from "vitest";
import { readAhead } from "./pieces.ts";
import { windowElements } from "./window.ts";

const size = 6 * windowElements + 5;

it("reads ahead in order, a few pieces at a time, the last one short", async () => {
  const asked: number[] = [];
  const waiting = { now: 0, most: 0 };
  const read = async (start: number, count: number): Promise<readonly number[]> => {
    asked.push(start);
    waiting.most = Math.max(waiting.most, ++waiting.now);
    await new Promise((done) => setTimeout(done, 1 + ((start / windowElements) % 3)));
    waiting.now--;
    return [start, count];
  };
  const got: unknown[] = [];
  for await (const piece of readAhead(size, read)) got.push(piece);
  const starts = Array.from({ length: 7 }, (_, i) => i * windowElements);
  expect(asked).toEqual(starts);
  expect(got).toEqual(starts.map((start) => [start, [start, Math.min(windowElements, size - start)]]));
  expect(waiting).toEqual({ now: 0, most: 3 });
});

it("leaves no read under way when one fails, or when nobody goes on", async () => {
  let underWay = 0;
  const read = async (start: number): Promise<number> => {
    underWay++;
    await new Promise((done) => setTimeout(done, start === 0 ? 1 : 20));
    underWay--;
    if (start === windowElements) throw new Error("the file was cut short");
    return start;
  };
  const all = async (): Promise<void> => {
    for await (const _ of readAhead(size, read));
  };
  await expect(all()).rejects.toThrow("cut short");
  expect(underWay).toBe(0);
  for await (const _ of readAhead(size, read)) break;
  expect(underWay).toBe(0);
});

it("reads nothing of nothing", async () => {
  for await (const _ of readAhead(0, async () => 0)) expect.unreachable();
});
