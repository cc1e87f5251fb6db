import { FtError } from "@ft/tensor";
import { ByteCursor } from "./byte-cursor.ts";
import { type DataFile, openDataFile, otherKind } from "./data-file.ts";
import { elementCount } from "./element-count.ts";
import { ggufEncodings } from "./encoding.ts";
import { readMetadata, readString } from "./gguf-metadata.ts";
import { clip } from "./json-reader.ts";
import { type StoredTensor, type WeightSource, weightSource } from "./source.ts";

const magic = 0x46554747; // "GGUF", little-endian
const defaultAlignment = 32;
const maxTensors = 100_000;
const maxNameBytes = 1_024;
const maxDims = 4;
const again = "the file is damaged or was made to deceive: fetch it again from a source you trust";

interface TensorRecord {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: bigint;
}

/**
 * Opens a GGUF file, version 2 or 3. Shapes come out row-major, outermost axis first: a linear weight is [out, in]. Tensors of type
 * F32, F16, BF16, F64, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K and whole numbers can be read; files with others (IQ4_XS, …) open,
 * and say so when one is read.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 */
export async function openGguf(path: string): Promise<WeightSource> {
  const file = await openDataFile(path);
  try {
    const fail = (what: string) => new FtError("format", `${path}: ${what}`, again);
    const cursor = new ByteCursor(file, fail);
    const tensorCount = await readPreamble(cursor, file);
    await cursor.need(8, "the number of metadata keys");
    const metadata = await readMetadata(cursor, cursor.u64());
    const splits = metadata.get("split.count");
    if (typeof splits === "number" && splits > 1)
      throw new FtError(
        "unsupported",
        `${path} is one of ${splits} parts`,
        "join them first: llama-gguf-split --merge",
      );
    const records = await readRecords(cursor, tensorCount);
    const tensors = place(records, file, cursor.position, alignmentOf(metadata, fail), fail);
    return weightSource("gguf", path, metadata, tensors, [file]);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Magic, version and the number of tensors. */
async function readPreamble(cursor: ByteCursor, file: DataFile): Promise<number> {
  const head = new Uint8Array(Math.min(64, file.size));
  await file.readInto(head, 0);
  await cursor.need(16, "the head of the file");
  if (cursor.u32() !== magic)
    throw otherKind(file.path, head) ?? cursor.error("this is no GGUF file: it does not start with GGUF");
  const version = cursor.u32();
  if (version !== 0 && (version & 0xffff) === 0)
    throw new FtError("unsupported", `${file.path} is a big-endian GGUF file`, "use the little-endian one");
  if (version !== 2 && version !== 3)
    throw new FtError(
      "unsupported",
      `${file.path} is GGUF version ${version}; versions 2 and 3 can be read`,
      version < 2 ? "convert the model again with a current llama.cpp" : "use a file of version 3",
    );
  const count = cursor.u64();
  if (count > BigInt(maxTensors)) throw cursor.error(`${count} tensors are over the limit of ${maxTensors}`);
  if (Number(count) * 24 > cursor.left) throw cursor.error(`${count} tensors do not fit into the file`);
  return Number(count);
}

function alignmentOf(metadata: ReadonlyMap<string, unknown>, fail: (what: string) => FtError): number {
  const alignment = metadata.get("general.alignment") ?? defaultAlignment;
  if (typeof alignment !== "number" || alignment < 1 || alignment > 2 ** 31 || !Number.isInteger(Math.log2(alignment)))
    throw fail(`general.alignment is ${clip(String(alignment))}, not a power of two`);
  return alignment;
}

async function readRecords(cursor: ByteCursor, count: number): Promise<TensorRecord[]> {
  const records: TensorRecord[] = [];
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) {
    const name = await readString(cursor, `the name of tensor ${i}`, maxNameBytes);
    const what = `tensor "${clip(name)}"`;
    if (seen.has(name)) throw cursor.error(`a second ${what}`);
    if (name === "__proto__") throw cursor.error(`a ${what}`);
    seen.add(name);
    await cursor.need(4, what);
    const dims = cursor.u32();
    if (dims > maxDims) throw cursor.error(`${what} has ${dims} axes, more than ${maxDims}`);
    await cursor.need(dims * 8 + 12, what);
    const shape: number[] = [];
    for (let d = 0; d < dims; d++) {
      const size = cursor.u64();
      if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw cursor.error(`${what} has an axis of size ${size}`);
      shape.unshift(Number(size)); // the file has the innermost axis first
    }
    records.push({ name, shape, type: cursor.u32(), offset: cursor.u64() });
  }
  return records;
}

/** Checks sizes and places: tensors follow each other in the order of their records, each padded to the alignment. */
function place(
  records: readonly TensorRecord[],
  file: DataFile,
  headerEnd: number,
  alignment: number,
  fail: (what: string) => FtError,
): Map<string, StoredTensor> {
  const padded = (bytes: number) => Math.ceil(bytes / alignment) * alignment;
  const dataStart = padded(headerEnd);
  const tensors = new Map<string, StoredTensor>();
  let reached = 0;
  for (const { name, shape, type, offset } of records) {
    const where = `tensor "${clip(name)}"`;
    const encoding = ggufEncodings.get(type);
    if (!encoding) throw fail(`${where} has the unknown type number ${type}`);
    const size = elementCount(shape);
    if (size === undefined) throw fail(`${where}: the sizes ${shape.join("×")} multiply to more than 2^53`);
    const row = shape.at(-1) ?? 1;
    if (row % encoding.elements !== 0)
      throw fail(
        `${where}: rows of ${row} values are no whole number of ${encoding.name} blocks of ${encoding.elements}`,
      );
    const bytes = (size / encoding.elements) * encoding.bytes;
    if (offset !== BigInt(reached)) throw fail(`${where} lies at offset ${offset}, where ${reached} is its place`);
    if (dataStart + reached + bytes > file.size)
      throw fail(
        `${where} ends at byte ${dataStart + reached + bytes}, beyond the end of the file (${file.size} bytes)`,
      );
    const info = { name, dtype: encoding.name, shape, size, bytes, host: encoding.host };
    tensors.set(name, { info, encoding, file, position: dataStart + reached });
    reached += padded(bytes);
  }
  return tensors;
}
