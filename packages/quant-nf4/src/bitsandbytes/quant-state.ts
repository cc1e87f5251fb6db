import { FtError } from "@ft/tensor";
import type { QuantType4bit } from "@ft/tensor/ops";
import type { HeldDType } from "../quantize/host-weight.ts";

/** What `quant_state.bitsandbytes__nf4` (or fp4) says in JSON. */
export interface QuantState {
  readonly type: QuantType4bit;
  readonly blockSize: number;
  /** of the weight before it was quantised */
  readonly dtype: HeldDType;
  readonly shape: readonly [number, number];
  readonly nested?: { readonly blockSize: number; readonly offset: number };
}

const dtypes: ReadonlyMap<unknown, HeldDType> = new Map([
  ["float32", "f32"],
  ["bfloat16", "bf16"],
  ["float16", "f16"],
] as const);

/** PyTorch's names of dtypes. */
export const torchNames: { readonly [D in HeldDType]: string } = { f32: "float32", bf16: "bfloat16", f16: "float16" };

/** Parses the JSON bytes. `at` names tensor and file. Errors: "format". */
export function parseQuantState(bytes: Uint8Array, at: string): QuantState {
  const fail = (what: string, hint: string, cause?: unknown): FtError =>
    new FtError("format", `[bitsandbytes] ${at}: ${what}`, hint, { cause });
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw fail("the quant_state is not JSON", "the file is damaged: download it again", cause);
  }
  const fields = new Map(Object.entries(Object(json)));
  const wrong = (key: string, hint: string): FtError =>
    fail(`${key} is ${JSON.stringify(fields.get(key)) ?? "absent"}`, hint);
  const count = (key: string): number => {
    const value = fields.get(key);
    if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
    throw wrong(key, "it is a positive whole number");
  };
  const type = fields.get("quant_type");
  if (type !== "nf4" && type !== "fp4") throw wrong("quant_type", 'it is "nf4" or "fp4"');
  const dtype = dtypes.get(fields.get("dtype"));
  if (dtype === undefined) throw wrong("dtype", `it is one of ${[...dtypes.keys()].join(", ")}`);
  const shape: unknown = fields.get("shape");
  if (!isMatrix(shape)) throw wrong("shape", "a Linear's weight has two sizes, [out, in]");
  const state = { type, blockSize: count("blocksize"), dtype, shape } as const;
  const offset = fields.get("nested_offset");
  if (offset === undefined) return state;
  if (typeof offset !== "number" || !Number.isFinite(Math.fround(offset)))
    throw wrong("nested_offset", "it is a number of float32");
  if (fields.get("nested_dtype") !== "float32") throw wrong("nested_dtype", 'only "float32" is read here');
  return { ...state, nested: { blockSize: count("nested_blocksize"), offset } };
}

function isMatrix(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every((d) => Number.isSafeInteger(d) && d > 0);
}

/** The JSON bytes, as Python's json.dumps writes what bitsandbytes hands to it. */
export function writeQuantState({ type, blockSize, dtype, shape, nested }: QuantState): Uint8Array<ArrayBuffer> {
  const fields = [
    `"quant_type": "${type}"`,
    `"blocksize": ${blockSize}`,
    `"dtype": "${torchNames[dtype]}"`,
    `"shape": [${shape.join(", ")}]`,
  ];
  if (nested)
    fields.push(
      `"nested_blocksize": ${nested.blockSize}`,
      '"nested_dtype": "float32"',
      `"nested_offset": ${pythonFloat(nested.offset)}`,
    );
  return new TextEncoder().encode(`{${fields.join(", ")}}`);
}

/** repr() of a finite Python float: an exponent of two digits below 1e-4 and from 1e16 on, a decimal point otherwise. */
function pythonFloat(x: number): string {
  const magnitude = Math.abs(x);
  if (x !== 0 && (magnitude < 1e-4 || magnitude >= 1e16)) return x.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return Number.isInteger(x) ? `${x}.0` : String(x);
}
