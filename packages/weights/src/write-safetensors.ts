import { join } from "node:path";
import { bytesPerElement, type DataOf, type DType, dataOf, FtError, showShape, sizeOf } from "@ft/tensor";
import { type Append, streamFileAtomic, writeFileAtomic } from "./atomic.ts";

/** A tensor to be written. `data` is called when its turn comes, so that one tensor at a time need be in memory. */
export interface WeightEntry<D extends DType = DType> {
  readonly name: string;
  readonly dtype: D;
  readonly shape: readonly number[];
  /** row-major; in pieces, if it yields several arrays */
  readonly data: () => DataOf[D] | Promise<DataOf[D]> | AsyncIterable<DataOf[D]>;
}

const codes: { readonly [D in DType]: string } = {
  f64: "F64",
  f32: "F32",
  bf16: "BF16",
  f16: "F16",
  i32: "I32",
  i8: "I8",
  u8: "U8",
  bool: "BOOL",
};
const asPyTorch: ReadonlyMap<string, string> = new Map([["format", "pt"]]);
const maxHeader = 100_000_000;

/**
 * Writes a `.safetensors` file as a stream, atomically: on any failure the path holds what it held before. Tensors of wider elements
 * come first, so that each lies at a multiple of its element size, and otherwise in the order given. Code "io" when the disk fails.
 */
export async function writeSafetensors(
  path: string,
  entries: Iterable<WeightEntry>,
  metadata: ReadonlyMap<string, string> = asPyTorch,
): Promise<void> {
  const ordered = [...entries].sort((a, b) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype]);
  const header = headerOf(ordered, metadata);
  await streamFileAtomic(path, async (append) => {
    await append(header);
    for (const entry of ordered) await appendEntry(entry, append);
  });
}

/** What `writeShardedSafetensors` wrote: file names in the folder, in order. */
export interface ShardedResult {
  readonly files: readonly string[];
  /** bytes of all tensors */
  readonly totalSize: number;
}

/**
 * Writes a Hugging Face folder's weights: `model.safetensors` if all fit into `maxBytes`, otherwise
 * `model-00001-of-0000N.safetensors` and, last, `model.safetensors.index.json`. A tensor larger than `maxBytes` gets a shard of its own.
 */
export async function writeShardedSafetensors(
  folder: string,
  entries: Iterable<WeightEntry>,
  maxBytes: number,
  metadata: ReadonlyMap<string, string> = asPyTorch,
): Promise<ShardedResult> {
  if (!(maxBytes > 0)) throw new FtError("input", `shards of ${maxBytes} bytes`, "give a positive number of bytes");
  const shards: WeightEntry[][] = [[]];
  let room = maxBytes;
  let totalSize = 0;
  const seen = new Set<string>();
  for (const entry of entries) {
    checkName(entry, seen);
    const bytes = bytesOf(entry);
    if (bytes > room && shards.at(-1)!.length > 0) {
      shards.push([]);
      room = maxBytes;
    }
    shards.at(-1)!.push(entry);
    room -= bytes;
    totalSize += bytes;
  }
  const number = (n: number) => String(n).padStart(5, "0");
  const fileOf = (shard: number) =>
    shards.length === 1 ? "model.safetensors" : `model-${number(shard + 1)}-of-${number(shards.length)}.safetensors`;
  const files = shards.map((_, shard) => fileOf(shard));
  for (const [shard, members] of shards.entries())
    await writeSafetensors(join(folder, fileOf(shard)), members, metadata);
  if (shards.length > 1) {
    const map = new Map(shards.flatMap((members, shard) => members.map((entry) => [entry.name, fileOf(shard)])));
    const index = { metadata: { total_size: totalSize }, weight_map: Object.fromEntries(map) };
    await writeFileAtomic(join(folder, "model.safetensors.index.json"), `${JSON.stringify(index, null, 2)}\n`);
  }
  return { files, totalSize };
}

function headerOf(entries: readonly WeightEntry[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const parts: string[] = [];
  if (metadata.size > 0) parts.push(`"__metadata__":${JSON.stringify(Object.fromEntries(metadata))}`);
  const seen = new Set<string>();
  let begin = 0;
  for (const entry of entries) {
    checkName(entry, seen);
    const end = begin + bytesOf(entry);
    const record = { dtype: codes[entry.dtype], shape: entry.shape, data_offsets: [begin, end] };
    parts.push(`${JSON.stringify(entry.name)}:${JSON.stringify(record)}`);
    begin = end;
  }
  const json = Buffer.from(`{${parts.join(",")}}`);
  const length = Math.ceil(json.length / 8) * 8; // the data starts at a multiple of 8
  if (length > maxHeader)
    throw new FtError(
      "input",
      `a header of ${length} bytes is over the format's limit of ${maxHeader}`,
      "write several files",
    );
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}

function checkName({ name }: WeightEntry, seen: Set<string>): void {
  if (name === "" || name === "__metadata__" || name === "__proto__")
    throw new FtError("input", `a tensor cannot be named "${name}"`, "choose another name");
  if (seen.has(name)) throw new FtError("input", `two tensors are named "${name}"`, "give each its own name");
  seen.add(name);
}

function bytesOf({ name, dtype, shape }: WeightEntry): number {
  const bytes = sizeOf(shape) * bytesPerElement[dtype];
  if (shape.every((d) => Number.isSafeInteger(d) && d >= 0) && Number.isSafeInteger(bytes)) return bytes;
  throw new FtError("shape", `"${name}" has the shape ${showShape(shape)}`, "sizes are whole numbers, not below 0");
}

async function appendEntry(entry: WeightEntry, append: Append): Promise<void> {
  const { name, dtype, shape } = entry;
  const expected = sizeOf(shape);
  let got = 0;
  const piece = async (array: DataOf[DType]) => {
    if (array.constructor !== dataOf[dtype](new ArrayBuffer(0)).constructor)
      throw new FtError("dtype", `"${name}": data in a ${array.constructor.name} for ${dtype}`, "convert it first");
    got += array.length;
    if (got <= expected) await append(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  };
  const data = await entry.data();
  if (Symbol.asyncIterator in data) for await (const array of data) await piece(array);
  else await piece(data);
  if (got !== expected)
    throw new FtError(
      "shape",
      `"${name}": ${got} values for ${showShape(shape)}`,
      "the sizes must multiply to their number",
    );
}
