import { expect, test } from "vitest";
import { crc32c, maskedCrc32c } from "./crc32c.ts";
import { encodeEvent, tfRecord } from "./event-file.ts";

test("CRC-32C: the examples of RFC 3720, B.4", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
  expect(maskedCrc32c(new Uint8Array(0))).toBe(0xa282ead8);
});

// Made by tensorboard 2.21:
//   from tensorboard.compat.proto.event_pb2 import Event, SessionLog
//   from tensorboard.compat.proto.summary_pb2 import Summary
//   from tensorboard.summary.writer.record_writer import RecordWriter
//   out = io.BytesIO(); w = RecordWriter(out); V = Summary.Value
//   for e in (Event(wall_time=1.5, step=0, file_version="brain.Event:2"),
//             Event(wall_time=1700000000.25, step=300, summary=Summary(value=[
//                 V(tag="train/loss", simple_value=1.25), V(tag="eval/loss", simple_value=0.1)])),
//             Event(wall_time=2.0, step=12, session_log=SessionLog(status=SessionLog.START))):
//       w.write(e.SerializeToString())
//   print(out.getvalue().hex())
const golden =
  "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c33000000000000000ca720560900001040fc54d94110ac022a250a110a0a747261696e2f6c6f7373150000a03f0a100a096576616c2f6c6f737315cdcccc3db66c5eb80f000000000000006d532b09090000000000000040100c3a02080128879400";

test("records and events are those of TensorBoard's own writer, byte by byte", () => {
  const scalars = [
    { tag: "train/loss", value: 1.25 },
    { tag: "eval/loss", value: 0.1 },
  ];
  const records = [
    encodeEvent(1.5, 0, { fileVersion: "brain.Event:2" }),
    encodeEvent(1700000000.25, 300, { scalars }),
    encodeEvent(2, 12, { sessionStart: true }),
  ].map(tfRecord);
  expect(Buffer.concat(records).toString("hex")).toBe(golden);
});
