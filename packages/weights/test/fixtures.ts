import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FtError, type FtErrorCode } from "@ft/tensor";
import { expect, onTestFinished } from "vitest";

/** A folder that is removed when the running test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ft-weights-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** URL of a file under tools/goldens/data. */
export function goldenFile(path: string): URL {
  return new URL(`../../../tools/goldens/data/${path}`, import.meta.url);
}

export function goldenPath(path: string): string {
  return fileURLToPath(goldenFile(path));
}

/** Expects an FtError of this code whose message matches. */
export async function expectFtError(promise: Promise<unknown>, code: FtErrorCode, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!FtError.is(error)) throw error ?? new Error(`nothing was thrown; expected ${code}, ${message}`);
  expect(error.message).toMatch(message);
  expect(error.code).toBe(code);
}

/** Bytes of a safetensors file from its header, as JSON text or an object, and as many zero bytes of data as asked for. */
export function safetensorsBytes(header: string | object, dataBytes: number, length?: bigint): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([head, json, Buffer.alloc(dataBytes)]);
}

/** Little-endian values, to build GGUF files good and bad: `[kind, value]`, or raw bytes. */
export type Piece = ["u8" | "u32" | "i32", number] | ["u64", number | bigint] | ["text", string] | Uint8Array;

export function pack(...pieces: readonly Piece[]): Buffer {
  return Buffer.concat(
    pieces.map((piece) => {
      if (piece instanceof Uint8Array) return piece;
      const [kind, value] = piece;
      if (kind === "text") return pack(["u64", Buffer.byteLength(value)], Buffer.from(value));
      const bytes = Buffer.alloc(8);
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      if (kind === "u64") view.setBigUint64(0, BigInt(value), true);
      else if (kind === "i32") view.setInt32(0, value, true);
      else view.setUint32(0, value, true);
      return bytes.subarray(0, kind === "u64" ? 8 : kind === "u8" ? 1 : 4);
    }),
  );
}

/** A GGUF file: metadata pairs and tensor records, already packed, then data after padding to 32 bytes. */
export function ggufBytes(parts: {
  version?: number;
  keys?: readonly Buffer[];
  keyCount?: number | bigint;
  tensors?: readonly Buffer[];
  tensorCount?: number | bigint;
  data?: number;
}): Buffer {
  const { version = 3, keys = [], tensors = [], data = 0 } = parts;
  const head = pack(
    Buffer.from("GGUF"),
    ["u32", version],
    ["u64", parts.tensorCount ?? tensors.length],
    ["u64", parts.keyCount ?? keys.length],
    ...keys,
    ...tensors,
  );
  return Buffer.concat([head, Buffer.alloc(((32 - (head.length % 32)) % 32) + data)]);
}

/** One tensor record; dims innermost first, as in the file. */
export function ggufTensor(
  name: string,
  dims: readonly (number | bigint)[],
  type: number,
  offset: number | bigint,
): Buffer {
  const sizes = dims.map((d): Piece => ["u64", d]);
  return pack(["text", name], ["u32", dims.length], ...sizes, ["u32", type], ["u64", offset]);
}

/** Whether this process may mount a file system of its own, to run out of disk space for real. */
export const canMount: boolean = (() => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const folder = mkdtempSync(join(tmpdir(), "ft-mount-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).status === 0;
  if (mounted) spawnSync("umount", [folder]);
  rmSync(folder, { recursive: true, force: true });
  return mounted;
})();

/** A disk of 64 KiB that is unmounted when the running test ends. Only where `canMount`. */
export async function tinyDisk(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ft-disk-"));
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`mount failed: ${stderr}`);
  onTestFinished(async () => {
    spawnSync("umount", [folder]);
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}
