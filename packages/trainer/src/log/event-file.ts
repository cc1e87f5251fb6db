import { maskedCrc32c } from "./crc32c.ts";

/*
 * TensorBoard's file: TFRecords, each holding one `Event` message of tensorflow/core/util/event.proto.
 * Protocol buffers need three wire types here: 0 varint, 1 eight bytes, 2 a length and bytes, 5 four bytes.
 */

/** u64 length, its masked CRC, the data, their masked CRC; little-endian. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return record;
}

/** What an event says beside its time and step. */
export type EventContent =
  | { readonly fileVersion: string }
  | { readonly scalars: readonly { readonly tag: string; readonly value: number }[] }
  /** a (re)start: TensorBoard forgets what earlier files say of this step and later ones */
  | { readonly sessionStart: true };

/** An `Event`: wall_time (1, seconds), step (2), file_version (3), summary (5), session_log (7). */
export function encodeEvent(wallTime: number, step: number, content: EventContent): Uint8Array {
  return concat([
    field(1, 1, float64(wallTime)),
    ...(step === 0 ? [] : [field(2, 0, varint(step))]), // proto3 leaves zeros out
    "fileVersion" in content
      ? field(3, 2, sized(new TextEncoder().encode(content.fileVersion)))
      : "scalars" in content
        ? field(5, 2, sized(concat(content.scalars.map(summaryValue))))
        : field(7, 2, sized(field(1, 0, varint(1)))), // SessionLog.status = START
  ]);
}

/** `Summary.value` (1): tag (1), simple_value (2, float). */
function summaryValue({ tag, value }: { readonly tag: string; readonly value: number }): Uint8Array {
  return field(1, 2, sized(concat([field(1, 2, sized(new TextEncoder().encode(tag))), field(2, 5, float32(value))])));
}

function field(number: number, wireType: number, payload: Uint8Array): Uint8Array {
  return concat([varint(number * 8 + wireType), payload]);
}

function sized(bytes: Uint8Array): Uint8Array {
  return concat([varint(bytes.length), bytes]);
}

/** Seven bits a byte, lowest first; the top bit says that more follow. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}

function float64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return bytes;
}

function float32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
