import type { ByteCursor } from "./byte-cursor.ts";
import { clip } from "./json-reader.ts";

/** How much metadata a file may hold; real files stay far below (Gemma: 40 keys, 256,000 tokens and 580,000 merges). */
const maxKeys = 65_536;
const maxKeyBytes = 65_535;
const maxStrings = 4_000_000;
const maxNested = 10_000;
const maxDepth = 8;

interface Scalar {
  readonly bytes: number;
  readonly read: (cursor: ByteCursor) => unknown;
  readonly array: (bytes: ArrayBuffer) => ArrayLike<unknown>;
}
const exact = (value: bigint) => (BigInt.asIntN(54, value) === value ? Number(value) : value);
const bool = (cursor: ByteCursor) => {
  const value = cursor.u8();
  if (value > 1) throw cursor.error(`the boolean ${value}`);
  return value === 1;
};

const string = 8;
const array = 9;
/** By the value type number of the GGUF specification. */
const scalars: ReadonlyMap<number, Scalar> = new Map<number, Scalar>([
  [0, { bytes: 1, read: (c) => c.u8(), array: (b) => new Uint8Array(b) }],
  [1, { bytes: 1, read: (c) => c.i8(), array: (b) => new Int8Array(b) }],
  [2, { bytes: 2, read: (c) => c.u16(), array: (b) => new Uint16Array(b) }],
  [3, { bytes: 2, read: (c) => c.i16(), array: (b) => new Int16Array(b) }],
  [4, { bytes: 4, read: (c) => c.u32(), array: (b) => new Uint32Array(b) }],
  [5, { bytes: 4, read: (c) => c.i32(), array: (b) => new Int32Array(b) }],
  [6, { bytes: 4, read: (c) => c.f32(), array: (b) => new Float32Array(b) }],
  [7, { bytes: 1, read: bool, array: (b) => new Uint8Array(b) }],
  [10, { bytes: 8, read: (c) => exact(c.u64()), array: (b) => new BigUint64Array(b) }],
  [11, { bytes: 8, read: (c) => exact(c.i64()), array: (b) => new BigInt64Array(b) }],
  [12, { bytes: 8, read: (c) => c.f64(), array: (b) => new Float64Array(b) }],
]);

/** Reads `count` keys with their values. Every length is compared with what is left of the file before room is made for it. */
export async function readMetadata(cursor: ByteCursor, count: bigint): Promise<Map<string, unknown>> {
  if (count > BigInt(maxKeys)) throw cursor.error(`${count} metadata keys are over the limit of ${maxKeys}`);
  if (Number(count) * 13 > cursor.left) throw cursor.error(`${count} metadata keys do not fit into the file`);
  const metadata = new Map<string, unknown>();
  const budget = { strings: maxStrings, nested: maxNested };
  for (let i = 0; i < Number(count); i++) {
    const key = await readString(cursor, `metadata key ${i}`, maxKeyBytes);
    if (metadata.has(key)) throw cursor.error(`the metadata key "${clip(key)}" a second time`);
    const what = `metadata "${clip(key)}"`;
    await cursor.need(4, what);
    metadata.set(key, await readValue(cursor, cursor.u32(), what, budget, 0));
  }
  return metadata;
}

/** A string: u64 length, then UTF-8. */
export async function readString(cursor: ByteCursor, what: string, limit: number = 2 ** 30): Promise<string> {
  if (!cursor.has(8)) await cursor.need(8, what);
  const length = cursor.u64();
  if (length > BigInt(Math.min(limit, cursor.left)))
    throw cursor.error(`${what}: a text of ${length} bytes (at most ${limit}, and the file has ${cursor.left} more)`);
  const bytes = Number(length);
  if (!cursor.has(bytes)) await cursor.need(bytes, what);
  return cursor.text(bytes);
}

async function readValue(
  cursor: ByteCursor,
  type: number,
  what: string,
  budget: { strings: number; nested: number },
  depth: number,
): Promise<unknown> {
  if (type === string) return readString(cursor, what);
  const scalar = scalars.get(type);
  if (scalar) {
    await cursor.need(scalar.bytes, what);
    return scalar.read(cursor);
  }
  if (type !== array) throw cursor.error(`${what}: the unknown value type ${type}`);
  if (depth >= maxDepth) throw cursor.error(`${what}: arrays nested deeper than ${maxDepth}`);
  if (--budget.nested < 0) throw cursor.error(`${what}: more than ${maxNested} arrays`);
  await cursor.need(12, what);
  const itemType = cursor.u32();
  const length = cursor.u64();
  const item = scalars.get(itemType);
  if (!item && itemType !== string && itemType !== array)
    throw cursor.error(`${what}: an array of the unknown type ${itemType}`);
  const smallest = item?.bytes ?? (itemType === string ? 8 : 12);
  if (length * BigInt(smallest) > BigInt(cursor.left))
    throw cursor.error(
      `${what}: an array of ${length} items does not fit into the ${cursor.left} bytes left in the file`,
    );
  const count = Number(length);
  if (item) {
    await cursor.need(count * item.bytes, what);
    const items = item.array(cursor.bytes(count * item.bytes));
    if (item.read === bool)
      for (let i = 0; i < count; i++) if (Number(items[i]) > 1) throw cursor.error(`${what}: a boolean above 1`);
    return items;
  }
  if (itemType === string) {
    budget.strings -= count;
    if (budget.strings < 0) throw cursor.error(`${what}: more than ${maxStrings} texts`);
    const texts: string[] = [];
    for (let i = 0; i < count; i++) texts.push(await readString(cursor, what));
    return texts;
  }
  const nested: unknown[] = [];
  for (let i = 0; i < count; i++) nested.push(await readValue(cursor, array, what, budget, depth + 1));
  return nested;
}
