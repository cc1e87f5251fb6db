import type { FtError } from "@ft/tensor";

const maxDepth = 64;
const quote = 0x22;
const backslash = 0x5c;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads JSON from bytes by what is expected next, and builds nothing it was not asked for. Stricter than `JSON.parse`, for files
 * from strangers: a key that comes twice in one object is an error (`JSON.parse` keeps the last), so are integers beyond 2^53.
 */
export class JsonReader {
  #at = 0;
  readonly #bytes: Uint8Array;
  readonly #fail: (what: string) => FtError;

  /** @param fail makes the error from what is wrong and where, e.g. `"expected ':' at byte 17"` */
  constructor(bytes: Uint8Array, fail: (what: string) => FtError) {
    this.#bytes = bytes;
    this.#fail = fail;
  }

  /** An error at the place reached so far. */
  error(what: string): FtError {
    return this.#fail(`${what} at byte ${this.#at}`);
  }

  /** Reads an object; `onKey` must read the value of the key it is given. */
  object(onKey: (key: string) => void): void {
    this.#expect("{");
    const seen = new Set<string>();
    if (this.#take("}")) return;
    do {
      const key = this.string();
      if (seen.has(key)) throw this.error(`duplicate key ${JSON.stringify(clip(key))}`);
      seen.add(key);
      this.#expect(":");
      onKey(key);
    } while (this.#take(","));
    this.#expect("}");
  }

  /** Reads an array; `onItem` must read one item. */
  array(onItem: () => void): void {
    this.#expect("[");
    if (this.#take("]")) return;
    do onItem();
    while (this.#take(","));
    this.#expect("]");
  }

  string(): string {
    this.#space();
    if (this.#bytes[this.#at] !== quote) throw this.error("expected a string");
    const start = this.#at;
    let plain = true;
    for (this.#at++; this.#bytes[this.#at] !== quote; this.#at++) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw this.error("unfinished string");
      if (byte < 0x20) throw this.error("control character in a string");
      if (byte === backslash) this.#at++;
      if (byte === backslash || byte >= 0x80) plain = false;
    }
    this.#at++;
    const inside = this.#bytes.subarray(start + 1, this.#at - 1);
    if (plain) return Buffer.from(inside.buffer, inside.byteOffset, inside.length).toString("latin1");
    try {
      const text: unknown = JSON.parse(utf8.decode(this.#bytes.subarray(start, this.#at)));
      if (typeof text === "string" && !/[\ud800-\udfff]/u.test(text)) return text; // with the u flag: unpaired ones only
    } catch {
      // falls through: the decoder and the parser fail on the same kind of thing
    }
    throw this.error("malformed string");
  }

  /** A whole number from 0 to 2^53 - 1, written without point or exponent. */
  integer(): number {
    this.#space();
    const start = this.#at;
    if (this.#bytes[start] === 0x2d) throw this.error("negative number");
    while (isDigit(this.#bytes[this.#at])) this.#at++;
    const text = String.fromCharCode(...this.#bytes.subarray(start, Math.min(this.#at, start + 20)));
    if (text === "") throw this.error("expected a whole number");
    const next = this.#bytes[this.#at];
    if (next === 0x2e || next === 0x65 || next === 0x45) throw this.error("expected a whole number, without . or e,");
    if (text.length > 1 && text.startsWith("0")) throw this.error("number with a leading zero");
    const value = Number(text);
    if (this.#at - start > 16 || !Number.isSafeInteger(value)) throw this.error(`number beyond 2^53 (${text}...)`);
    return value;
  }

  /** Reads past any value. */
  skip(depth = 0): void {
    if (depth > maxDepth) throw this.error(`nesting deeper than ${maxDepth}`);
    this.#space();
    const byte = this.#bytes[this.#at];
    if (byte === 0x7b) this.object(() => this.skip(depth + 1));
    else if (byte === 0x5b) this.array(() => this.skip(depth + 1));
    else if (byte === quote) this.string();
    else {
      const start = this.#at;
      while (isWordByte(this.#bytes[this.#at]) && this.#at - start < 400) this.#at++;
      const word = Buffer.from(this.#bytes.subarray(start, this.#at)).toString("latin1");
      if (!/^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)$/.test(word)) throw this.error("expected a value");
    }
  }

  /** Demands that nothing but white space is left. */
  end(): void {
    this.#space();
    if (this.#at < this.#bytes.length) throw this.error("something follows the end of the JSON");
  }

  #space(): void {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #take(mark: string): boolean {
    this.#space();
    if (this.#bytes[this.#at] !== mark.charCodeAt(0)) return false;
    this.#at++;
    return true;
  }

  #expect(mark: string): void {
    if (!this.#take(mark)) throw this.error(`expected '${mark}'`);
  }
}

/** At most 80 characters of a name from a file, for use in a message. */
export function clip(name: string): string {
  return name.length <= 80 ? name : `${name.slice(0, 77)}...`;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** A byte that a number, `true`, `false` or `null` may be made of. */
function isWordByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x7a) || byte === 0x2b || byte === 0x2d || byte === 0x2e;
}
