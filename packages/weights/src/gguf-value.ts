import { FtError } from "@ft/tensor";

/** A value of a GGUF file's metadata with its type: `["u32", 32]`, `["string[]", tokens]`. */
export type GgufValue =
  | readonly [type: "u32" | "i32" | "f32", value: number]
  | readonly [type: "bool", value: boolean]
  | readonly [type: "string", value: string]
  | readonly [type: "u32[]" | "i32[]" | "f32[]", values: ArrayLike<number>]
  | readonly [type: "string[]", values: readonly string[]];

type NumberType = "u32" | "i32" | "f32";
const stringType = 8;
const arrayType = 9;
/** Value type numbers of the GGUF specification. */
const numberTypes: { readonly [T in NumberType]: number } = { u32: 4, i32: 5, f32: 6 };
const boolType = 7;

/** Little-endian bytes of a file's head, growing as they are appended. */
export class GgufHead {
  #bytes = Buffer.alloc(65_536);
  #length = 0;

  u32(value: number): void {
    this.#room(4);
    this.#length = this.#bytes.writeUInt32LE(value, this.#length);
  }
  u64(value: number): void {
    this.#room(8);
    this.#length = this.#bytes.writeBigUInt64LE(BigInt(value), this.#length);
  }
  /** u64 length in bytes, then UTF-8. */
  string(text: string): void {
    const bytes = Buffer.byteLength(text);
    this.u64(bytes);
    this.#room(bytes);
    this.#length += this.#bytes.write(text, this.#length);
  }
  /** Zeros up to a multiple of `alignment`. */
  pad(alignment: number): void {
    const end = Math.ceil(this.#length / alignment) * alignment;
    this.#room(end - this.#length);
    this.#bytes.fill(0, this.#length, end);
    this.#length = end;
  }

  /** A key with its value. Errors: "input" (a number that its type cannot hold, a text with half a surrogate pair). */
  entry(key: string, value: GgufValue): void {
    this.string(key);
    switch (value[0]) {
      case "string":
        this.u32(stringType);
        this.#text(key, value[1]);
        break;
      case "bool":
        this.u32(boolType);
        this.#room(1);
        this.#length = this.#bytes.writeUInt8(value[1] ? 1 : 0, this.#length);
        break;
      case "string[]":
        this.u32(arrayType);
        this.u32(stringType);
        this.u64(value[1].length);
        for (const text of value[1]) this.#text(key, text);
        break;
      case "u32[]":
      case "i32[]":
      case "f32[]": {
        const type: NumberType = value[0] === "u32[]" ? "u32" : value[0] === "i32[]" ? "i32" : "f32";
        this.u32(arrayType);
        this.u32(numberTypes[type]);
        this.u64(value[1].length);
        for (let i = 0; i < value[1].length; i++) this.#number(key, type, value[1][i]!);
        break;
      }
      default:
        this.u32(numberTypes[value[0]]);
        this.#number(key, value[0], value[1]);
    }
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #number(key: string, type: NumberType, value: number): void {
    const whole = type !== "f32";
    const holds = whole ? (type === "u32" ? value >>> 0 : value | 0) === value : Number.isFinite(Math.fround(value));
    if (!holds)
      throw new FtError("input", `[writeGguf] metadata "${key}" is ${value}`, `give a number that ${type} can hold`);
    this.#room(4);
    if (type === "u32") this.#bytes.writeUInt32LE(value, this.#length);
    else if (type === "i32") this.#bytes.writeInt32LE(value, this.#length);
    else this.#bytes.writeFloatLE(value, this.#length);
    this.#length += 4;
  }
  #text(key: string, text: string): void {
    if (/\p{Surrogate}/u.test(text))
      throw new FtError(
        "input",
        `[writeGguf] metadata "${key}": ${JSON.stringify(text)} has half a surrogate pair`,
        "UTF-8 cannot hold it: mend the text",
      );
    this.string(text);
  }
  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(2 * this.#bytes.length, this.#length + bytes));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
