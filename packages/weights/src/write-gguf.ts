import { FtError, showShape, sizeOf } from "@ft/tensor";
import { type Append, streamFileAtomic } from "./atomic.ts";
import type { GgufType } from "./gguf-blocks/gguf-type.ts";
import { GgufHead, type GgufValue } from "./gguf-value.ts";

/** A tensor to be written. `data` is called when its turn comes, so that one piece at a time need be in memory. */
export interface GgufEntry {
  readonly name: string;
  /** row-major, outermost axis first: a linear weight is [out, in] */
  readonly shape: readonly number[];
  readonly type: GgufType;
  /** the bytes of the whole tensor as `type` stores them, in pieces of any size */
  readonly data: () => AsyncIterable<Uint8Array>;
}

/** "GGUF", little-endian */
const magic = 0x46554747;
const version = 3;
const alignment = 32;
/** of ggml: GGML_MAX_NAME with its closing zero, GGML_MAX_DIMS */
const maxNameBytes = 63;
const maxDims = 4;

const padded = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/**
 * Writes a GGUF file of version 3 as a stream, atomically: on any failure the path holds what it held before. Metadata and tensors stand
 * in the order given, tensors at multiples of 32 bytes. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 * Errors: "input" (names, metadata), "shape" (a row that is no whole number of blocks, data of another size), "io", "exists".
 * @param options replace: false leaves a file alone that is there when all is written, code "exists"
 * @returns bytes written
 */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: Iterable<GgufEntry>,
  options: { readonly replace?: boolean } = {},
): Promise<number> {
  const entries = [...tensors];
  const head = headOf(metadata, entries);
  let written = head.length;
  const write = async (append: Append): Promise<void> => {
    await append(head);
    for (const entry of entries) written += await appendTensor(entry, append);
  };
  await streamFileAtomic(path, write, options);
  return written;
}

function headOf(metadata: ReadonlyMap<string, GgufValue>, entries: readonly GgufEntry[]): Uint8Array {
  const head = new GgufHead();
  head.u32(magic);
  head.u32(version);
  head.u64(entries.length);
  head.u64(metadata.size);
  for (const [key, value] of metadata) head.entry(key, value);
  const seen = new Set<string>();
  let offset = 0;
  for (const entry of entries) {
    const { name, shape, type } = entry;
    checkName(name, seen);
    const bytes = bytesOf(entry);
    head.string(name);
    head.u32(shape.length);
    for (const size of shape.toReversed()) head.u64(size); // the file has the innermost axis first
    head.u32(type.id);
    head.u64(offset);
    offset += padded(bytes);
  }
  head.pad(alignment);
  return head.bytes();
}

function checkName(name: string, seen: Set<string>): void {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > maxNameBytes)
    throw new FtError(
      "input",
      `[writeGguf] the name "${name}" has ${bytes} bytes`,
      `names of tensors have 1 to ${maxNameBytes}`,
    );
  if (seen.has(name))
    throw new FtError("input", `[writeGguf] two tensors are named "${name}"`, "give each its own name");
  seen.add(name);
}

function bytesOf({ name, shape, type }: GgufEntry): number {
  const size = sizeOf(shape);
  const row = shape.at(-1) ?? 1;
  if (shape.length > maxDims || !shape.every((d) => Number.isSafeInteger(d) && d > 0) || !Number.isSafeInteger(size))
    throw new FtError(
      "shape",
      `[writeGguf] "${name}" has the shape ${showShape(shape)}`,
      `tensors have at most ${maxDims} axes, each of a whole number above 0`,
    );
  if (row % type.elements !== 0)
    throw new FtError(
      "shape",
      `[writeGguf] "${name}": rows of ${row} values are no whole number of ${type.name} blocks of ${type.elements}`,
      "choose a type with smaller blocks",
    );
  return (size / type.elements) * type.bytes;
}

async function appendTensor(entry: GgufEntry, append: Append): Promise<number> {
  const expected = bytesOf(entry);
  let got = 0;
  for await (const piece of entry.data()) {
    got += piece.length;
    if (got <= expected) await append(piece);
  }
  if (got !== expected)
    throw new FtError(
      "shape",
      `[writeGguf] "${entry.name}": ${got} bytes for ${showShape(entry.shape)} in ${entry.type.name}, which take ${expected}`,
      "write every row once",
    );
  await append(new Uint8Array(padded(expected) - expected));
  return padded(expected);
}
