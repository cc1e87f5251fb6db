import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { type Random, randomFrom, sharedData } from "@ft/testing";
import { expect, it } from "vitest";
import { goldenFile, temporaryFolder } from "../test/fixtures.ts";
import { openGguf } from "./gguf.ts";
import { openSafetensors } from "./safetensors.ts";
import type { WeightSource } from "./source.ts";

/** Numbers that overflow something. */
const odd = [0n, 1n, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 61n + 1n, 2n ** 63n, 2n ** 64n - 1n];
const words = [
  '"a"',
  '{"',
  "}",
  "]",
  ",",
  "-1",
  "1.5",
  "99999999999999999999",
  '"dtype"',
  '"F64"',
  '"shape":[',
  "null",
  "\\u0000",
  "\xff",
];

/** A copy with one to four changes: bits, bytes, odd numbers, pieces moved, cut or put in. */
function mutate(whole: Buffer, headerEnd: number, random: Random): Buffer {
  let bytes = Buffer.from(whole);
  for (let n = random.int(1, 4); n > 0; n--) {
    const at = random.int(0, Math.max(0, Math.min(headerEnd, bytes.length) - 9));
    const kind = random.int(0, 6);
    if (kind === 0) bytes[at] = bytes[at]! ^ (1 << random.int(0, 7));
    else if (kind === 1) bytes[at] = random.int(0, 255);
    else if (kind === 2 && bytes.length >= at + 8) bytes.writeBigUInt64LE(random.pick(odd), at);
    else if (kind === 3 && bytes.length >= at + 4) bytes.writeUInt32LE(Number(random.pick(odd) & 0xffffffffn), at);
    else if (kind === 4) bytes = bytes.subarray(0, random.int(0, bytes.length));
    else if (kind === 5) bytes = splice(bytes, at, random.int(0, 9), Buffer.from(random.pick(words), "latin1"));
    else bytes = splice(bytes, at, 0, bytes.subarray(at, at + random.int(1, 60)));
  }
  return bytes;
}

function splice(bytes: Buffer, at: number, remove: number, insert: Buffer): Buffer<ArrayBuffer> {
  const out = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
  // a safetensors header that grew is given its new length half of the time, to get past the first check
  const grown = insert.length - remove;
  if (out.length > 8 && out[8] === 0x7b && at % 2 === 0) {
    const length = out.readBigUInt64LE(0);
    if (length < 10_000n && Number(length) + grown > 0) out.writeBigUInt64LE(BigInt(Number(length) + grown), 0);
  }
  return out;
}

/** Opens and reads everything; the reason if that was refused. Only an FtError may come out, within a second of work and in little memory. */
async function survives(
  open: (path: string) => Promise<WeightSource>,
  path: string,
  bytes: Buffer,
  round: number,
): Promise<string> {
  await writeFile(path, bytes);
  const start = process.cpuUsage(); // not the clock: this machine may be busy with other things
  const before = process.memoryUsage();
  let peak = 0;
  const look = () => {
    const now = process.memoryUsage();
    peak = Math.max(peak, now.arrayBuffers - before.arrayBuffers, now.heapUsed - before.heapUsed);
  };
  try {
    await using source = await open(path);
    look();
    for (const { name, host } of source.tensors.values()) if (host) await source.read(name, host).catch(onlyFtError);
    look();
    return "none";
  } catch (error) {
    look();
    if (!FtError.is(error)) throw new Error(`round ${round}: ${error}`, { cause: error });
    return error.message.replace(path, "").replace(/".*?"|\d+/g, ""); // the kind of error, whatever the names and numbers
  } finally {
    const { user, system } = process.cpuUsage(start);
    expect(user + system, `round ${round}: microseconds`).toBeLessThan(1_000_000);
    expect(peak, `round ${round}: bytes allocated`).toBeLessThan(2 * bytes.length + 64 * 2 ** 20);
  }
}

function onlyFtError(error: unknown): void {
  if (!FtError.is(error)) throw error;
}

const safetensors = await readFile(goldenFile("safetensors/pytorch.safetensors"));
const others = await readFile(goldenFile("safetensors/other.safetensors"));
const gguf = await readFile(goldenFile("gguf-quants/tiny.gguf"));

it("survives 3,000 mutated safetensors files", async () => {
  const path = join(await temporaryFolder(), "x.safetensors");
  const random = randomFrom(21);
  const reasons = new Set<string>();
  for (let round = 0; round < 3_000; round++) {
    const seed = random.pick([safetensors, others]);
    const headerEnd = 8 + Number(seed.readBigUInt64LE(0));
    reasons.add(await survives(openSafetensors, path, mutate(seed, headerEnd, random), round));
  }
  expect(reasons).toContain("none"); // some changes are harmless
  expect(reasons.size).toBeGreaterThan(25); // otherwise only the first checks are tested
});

it("survives 3,000 mutated GGUF files", async () => {
  const path = join(await temporaryFolder(), "x.gguf");
  const random = randomFrom(22);
  const reasons = new Set<string>();
  for (let round = 0; round < 3_000; round++)
    reasons.add(await survives(openGguf, path, mutate(gguf, 2_600, random), round));
  expect(reasons).toContain("none");
  expect(reasons.size).toBeGreaterThan(25);
});

const vocabulary = sharedData("gguf/ggml-vocab-llama-spm.gguf");
it.skipIf(vocabulary === undefined)("survives 25 mutations of a real vocabulary file", async () => {
  const path = join(await temporaryFolder(), "x.gguf");
  const random = randomFrom(23);
  const whole = await readFile(vocabulary!);
  for (let round = 0; round < 25; round++) await survives(openGguf, path, mutate(whole, whole.length, random), round);
});
