import { createCpuBackend } from "@ft/backend-cpu";
import { type Backend, type DType, FtError, type Tensor, zeros } from "@ft/tensor";
import {
  dequantize4bit,
  dequantize8bit,
  int8Linear,
  nf4Linear,
  quantize4bit,
  quantize8bit,
  type Weight4bit,
} from "@ft/tensor/ops";
import { beforeAll, describe, expect, it } from "vitest";
import { bitsandbytesFormat, type Int8Linear, Nf4Linear, quantizeTo4bit, quantizeToInt8 } from "../src/index.ts";
import { held } from "./support.ts";

/* What the ops of quantised formats refuse, in words that say what is wrong and what would be right. */

let backend: Backend;
beforeAll(async () => {
  backend = await createCpuBackend();
});
const of = (dtype: DType, ...shape: number[]): Tensor<any, any> =>
  zeros(backend, dtype, ["a", "b", "c"].slice(0, shape.length), shape);
const weight = (more: object = {}): Weight4bit<"out", "in"> => ({
  ...{ type: "nf4", blockSize: 64, shape: [8, 20], axes: ["out", "in"] },
  ...{ codes: of("u8", 80), absmax: of("f32", 3) },
  ...more,
});
const format = { type: "nf4", blockSize: 64, shape: [8, 20], dtype: "f32", axes: ["out", "in"] } as const;

const cases: readonly (readonly [what: string, call: () => unknown, message: string])[] = [
  [
    "a block of 48",
    () => quantize4bit(of("f32", 64), { type: "nf4", blockSize: 48 }),
    "block size 48; use a power of two from 32 to 4096",
  ],
  ["a block of 16", () => quantize4bit(of("f32", 64), { type: "fp4", blockSize: 16 }), "block size 16"],
  ["integers", () => quantize4bit(of("i32", 64), { type: "nf4", blockSize: 64 }), "64 elements of i32"],
  ["8-bit blocks of 32", () => quantize8bit(of("f32", 64), { map: "dynamic", blockSize: 32 }), "from 64 to 4096"],
  ["sameSign of one sign", () => quantize8bit(of("f32", 64), { map: "udynamic", sameSign: true }), "sameSign"],
  ["too few codes", () => dequantize4bit(of("u8", 79), of("f32", 3), format), "codes are u8 [80], absmax is [3]"],
  ["codes of i32", () => dequantize4bit(of("i32", 80), of("f32", 3), format), "codes i32 80"],
  [
    "nested absmax to decode",
    () => dequantize4bit(of("u8", 80), of("u8", 3), format),
    "decode nested statistics first",
  ],
  ["an absmax too few", () => dequantize8bit(of("u8", 300), of("f32", 1), { map: "dynamic" }), "absmax is f32 [2]"],
  ["another width of x", () => nf4Linear(of("f32", 5, 21), weight()), "5×21 · (8×20)ᵀ"],
  ["a long bias", () => nf4Linear(of("f32", 5, 20), weight(), of("f32", 9)), "+ 9"],
  ["absmax in u8 alone", () => nf4Linear(of("f32", 5, 20), weight({ absmax: of("u8", 3) })), "nestedAbsmax absent"],
  ["an offset alone", () => nf4Linear(of("f32", 5, 20), weight({ offset: of("f32") })), "absmax is f32 alone, or u8"],
  [
    "a long nestedAbsmax",
    () => nf4Linear(of("f32", 5, 20), weight({ absmax: of("u8", 3), nestedAbsmax: of("f32", 2), offset: of("f32") })),
    "nestedAbsmax [1]",
  ],
  [
    "an int8 weight of u8",
    () => int8Linear(of("f32", 5, 20), of("u8", 8, 20), of("f32", 8)),
    "the weight is i8 [out, in]",
  ],
  ["a short absmax of rows", () => int8Linear(of("f32", 5, 20), of("i8", 8, 20), of("f32", 7)), "absmax 7"],
];

describe("quantised formats refuse", () => {
  it.each(cases)("%s", (_, call, message) => {
    let error: unknown;
    try {
      call();
    } catch (thrown) {
      error = thrown;
    }
    expect(FtError.is(error) && error.message).toContain(message);
  });

  it("weights that are not finite, in every dtype, with their place", async () => {
    const values = { f32: new Float32Array(60), bf16: new Uint16Array(60), f16: new Uint16Array(60) };
    values.f32[41] = Number.NaN;
    values.bf16[41] = 0xff80;
    values.f16[41] = 0x7c00;
    for (const [dtype, shown] of [
      ["f32", "NaN"],
      ["bf16", "-Infinity"],
      ["f16", "Infinity"],
    ] as const) {
      const from = held("q_proj", dtype, values[dtype], 3);
      const message = `q_proj is ${shown} at row 2, column 1`;
      await expect(quantizeTo4bit(backend, from, { type: "nf4", blockSize: 64, doubleQuant: true })).rejects.toThrow(
        message,
      );
      await expect(quantizeToInt8(backend, from)).rejects.toThrow(message);
    }
  });

  it("a folder of two kinds of quantisation", async () => {
    const from = held(
      "w",
      "f32",
      Float32Array.from({ length: 64 }, (_, i) => i),
      2,
    );
    const four = await quantizeTo4bit(backend, from, { type: "nf4", blockSize: 64, doubleQuant: true });
    const plain = await quantizeTo4bit(backend, from, { type: "nf4", blockSize: 64, doubleQuant: false });
    const eight: Int8Linear = await quantizeToInt8(backend, from);
    const config =
      (...linears: (Nf4Linear | Int8Linear)[]) =>
      () =>
        bitsandbytesFormat().config(new Map(linears.map((linear, i) => [`layer${i}`, linear])));
    expect(config(four, eight)).toThrow("layer0 is nf4 and layer1 is int8; one folder has one kind");
    expect(config(four, plain)).toThrow("of another nesting");
    expect(four instanceof Nf4Linear && config(four)()).toMatchObject({ load_in_4bit: true, load_in_8bit: false });
  });
});
