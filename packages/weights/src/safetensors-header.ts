import { FtError } from "@ft/tensor";
import { type DataFile, otherKind } from "./data-file.ts";
import { elementCount } from "./element-count.ts";
import { safetensorsEncodings } from "./encoding.ts";
import { clip, JsonReader } from "./json-reader.ts";
import type { StoredTensor } from "./source.ts";

/** The limit of the reference implementation, in bytes. */
const maxHeader = 100_000_000;
/** Far above any real file (DeepSeek-V3 has 91,991 tensors in 163 files); keeps what a header can make us allocate in bounds. */
const maxTensors = 100_000;
const maxMetadata = 10_000;
const maxRank = 16;
const again = "the file is damaged or was made to deceive: fetch it again from a source you trust";

interface Header {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}
interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads and checks the header of a safetensors file: u64 length, JSON, and tensors that fill the rest of the file without hole,
 * overlap or remainder. Format: https://github.com/huggingface/safetensors.
 */
export async function readSafetensorsHeader(file: DataFile): Promise<Header> {
  const fail = (what: string) => new FtError("format", `${file.path}: ${what}`, again);
  const head = new Uint8Array(Math.min(64, file.size));
  await file.readInto(head, 0);
  const other = otherKind(file.path, head);
  if (other) throw other;
  if (file.size < 10) throw fail(`${file.size} bytes are too few for a safetensors file`);
  const length = new DataView(head.buffer).getBigUint64(0, true);
  if (length > BigInt(maxHeader)) throw fail(`a header of ${length} bytes is over the limit of ${maxHeader}`);
  const headerBytes = Number(length);
  if (headerBytes < 2) throw fail(`a header of ${headerBytes} bytes is no JSON object`);
  const dataStart = 8 + headerBytes;
  if (dataStart > file.size)
    throw fail(`a header of ${headerBytes} bytes runs beyond the end of the file (${file.size} bytes)`);
  if (head[8] !== 0x7b) throw fail("the header does not start with {");
  const json = new Uint8Array(headerBytes);
  await file.readInto(json, 8);
  const { entries, metadata } = parseHeader(json, fail);
  checkLayout(entries, file.size - dataStart, fail);
  const tensors = new Map<string, StoredTensor>();
  for (const entry of entries) tensors.set(entry.name, locate(entry, file, dataStart, fail));
  return { metadata, tensors };
}

function parseHeader(json: Uint8Array, fail: (what: string) => FtError) {
  const reader = new JsonReader(json, (what) => fail(`header: ${what}`));
  const entries: Entry[] = [];
  const metadata = new Map<string, string>();
  reader.object((name) => {
    if (name === "__metadata__") {
      reader.object((key) => {
        if (metadata.size >= maxMetadata) throw reader.error(`more than ${maxMetadata} metadata keys`);
        metadata.set(key, reader.string());
      });
      return;
    }
    if (name === "__proto__") throw reader.error("a tensor named __proto__");
    if (entries.length >= maxTensors) throw reader.error(`more than ${maxTensors} tensors`);
    entries.push(parseEntry(reader, name));
  });
  reader.end();
  return { entries, metadata };
}

function parseEntry(reader: JsonReader, name: string): Entry {
  let dtype: string | undefined;
  const shape: number[] = [];
  let hasShape = false;
  const offsets: number[] = [];
  const at = (what: string) => reader.error(`tensor "${clip(name)}": ${what}`);
  reader.object((field) => {
    if (field === "dtype") dtype = reader.string();
    else if (field === "shape") {
      hasShape = true;
      reader.array(() => {
        if (shape.length >= maxRank) throw at(`more than ${maxRank} axes`);
        shape.push(reader.integer());
      });
    } else if (field === "data_offsets") {
      reader.array(() => {
        if (offsets.length >= 2) throw at("data_offsets has more than two numbers");
        offsets.push(reader.integer());
      });
    } else throw at(`unknown field "${clip(field)}"`);
  });
  const [begin, end] = offsets;
  if (dtype === undefined || !hasShape || begin === undefined || end === undefined)
    throw at("needs dtype, shape and two data_offsets");
  if (end < begin) throw at(`data_offsets run backwards, from ${begin} to ${end}`);
  return { name, dtype, shape, begin, end };
}

/** Sorted by place, the tensors must lie end to end and end where the file ends. */
function checkLayout(entries: readonly Entry[], dataBytes: number, fail: (what: string) => FtError): void {
  const ordered = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let reached = 0;
  for (const { name, begin, end } of ordered) {
    const where = `tensor "${clip(name)}" lies at bytes ${begin} to ${end}`;
    if (end > dataBytes) throw fail(`${where}, beyond the ${dataBytes} bytes of data in the file`);
    if (begin < reached) throw fail(`${where} and overlaps the tensor before it, which ends at ${reached}`);
    if (begin > reached) throw fail(`${where}, leaving a hole after byte ${reached}`);
    reached = end;
  }
  if (reached !== dataBytes) throw fail(`${dataBytes - reached} bytes follow the last tensor`);
}

function locate(entry: Entry, file: DataFile, dataStart: number, fail: (what: string) => FtError): StoredTensor {
  const { name, dtype, shape, begin, end } = entry;
  const encoding = safetensorsEncodings.get(dtype);
  const where = `tensor "${clip(name)}"`;
  if (!encoding) throw fail(`${where} has the unknown dtype "${clip(dtype)}"`);
  const size = elementCount(shape);
  if (size === undefined) throw fail(`${where}: the sizes ${shape.join("×")} multiply to more than 2^53`);
  const bytes = end - begin;
  if (size % encoding.elements !== 0 || (size / encoding.elements) * encoding.bytes !== bytes)
    throw fail(`${where}: ${dtype} of ${shape.join("×") || "scalar"} does not take the ${bytes} bytes it is given`);
  const info = { name, dtype, shape, size, bytes, host: encoding.host };
  return { info, encoding, file, position: dataStart + begin };
}
