import type { FtError } from "@ft/tensor";
import type { DataFile } from "./data-file.ts";

const windowBytes = 2 ** 20;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads little-endian values one after another from a file, through a window of 1 MiB. `need` is the only wait: everything that
 * follows it, up to the bytes asked for, is read without one (a vocabulary has hundreds of thousands of strings).
 */
export class ByteCursor {
  #window = Buffer.alloc(0);
  #view = new DataView(new ArrayBuffer(0));
  /** file offset of the window's first byte */
  #base = 0;
  #at = 0;
  readonly #file: DataFile;
  readonly #fail: (what: string) => FtError;

  constructor(file: DataFile, fail: (what: string) => FtError) {
    this.#file = file;
    this.#fail = fail;
  }

  /** Bytes from the start of the file. */
  get position(): number {
    return this.#base + this.#at;
  }

  get left(): number {
    return this.#file.size - this.position;
  }

  error(what: string): FtError {
    return this.#fail(`${what} at byte ${this.position}`);
  }

  /** Whether the next `bytes` bytes can be read without waiting. */
  has(bytes: number): boolean {
    return this.#window.length - this.#at >= bytes;
  }

  /** Makes the next `bytes` bytes readable; fails, before anything is allocated, when the file has fewer. */
  async need(bytes: number, what: string): Promise<void> {
    if (this.has(bytes)) return;
    if (bytes > this.left) throw this.error(`${what} takes ${bytes} bytes but the file has ${this.left} more`);
    const position = this.position;
    const next = Buffer.allocUnsafeSlow(Math.min(Math.max(bytes, windowBytes), this.left));
    await this.#file.readInto(next, position);
    this.#window = next;
    this.#view = new DataView(next.buffer);
    this.#base = position;
    this.#at = 0;
  }

  u8(): number {
    return this.#view.getUint8(this.#skip(1));
  }
  i8(): number {
    return this.#view.getInt8(this.#skip(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#skip(2), true);
  }
  i16(): number {
    return this.#view.getInt16(this.#skip(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }
  i32(): number {
    return this.#view.getInt32(this.#skip(4), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#skip(8), true);
  }
  i64(): bigint {
    return this.#view.getBigInt64(this.#skip(8), true);
  }
  f32(): number {
    return this.#view.getFloat32(this.#skip(4), true);
  }
  f64(): number {
    return this.#view.getFloat64(this.#skip(8), true);
  }

  /** UTF-8 text of so many bytes. */
  text(bytes: number): string {
    const start = this.#skip(bytes);
    const end = start + bytes;
    let i = start;
    while (i < end && this.#window[i]! < 0x80) i++;
    if (i === end) return this.#window.toString("latin1", start, end);
    try {
      return utf8.decode(this.#window.subarray(start, end));
    } catch {
      throw this.error("text that is not UTF-8");
    }
  }

  /** A copy of so many bytes. */
  bytes(bytes: number): ArrayBuffer {
    const start = this.#skip(bytes);
    const copy = new ArrayBuffer(bytes);
    new Uint8Array(copy).set(this.#window.subarray(start, start + bytes));
    return copy;
  }

  #skip(bytes: number): number {
    const start = this.#at;
    this.#at += bytes;
    return start;
  }
}
