import { bytesPerElement, type DataOf, type DType, dataOf, type Spec, sizeOf, type View } from "@ft/tensor";

/** What this backend calls a buffer: the host array of the dtype, always over memory of its own. */
export type CpuBuffer = DataOf[DType];
/** A value on this backend. */
export type CpuView = View<CpuBuffer>;

/** dtypes that share an array class share a free list */
const classOf: { readonly [D in DType]: number } = { f64: 0, f32: 1, bf16: 2, f16: 2, i32: 3, i8: 4, u8: 5, bool: 5 };
const classes = 6;

/** What a backend holds in its buffers, now. */
export interface BufferStats {
  /** buffers made since the backend was: what a training step in its steady state adds none to */
  readonly made: number;
  /** bytes kept for reuse */
  readonly idleBytes: number;
}

/**
 * Free lists by array class and length, so that a training step in its steady state allocates nothing: fresh pages cost
 * more than most elementwise kernels. Idle memory never exceeds the largest live size; the lengths longest unused go first.
 */
export class BufferPool implements BufferStats {
  readonly #idle = new Map<number, CpuBuffer[]>();
  readonly #poison: boolean;
  #made = 0;
  #idleBytes = 0;
  #liveBytes = 0;
  #peakBytes = 0;

  /** @param poison fills every buffer that is handed out with NaN, or 0x7f bytes: whoever reads what was not written shows */
  constructor(poison: boolean) {
    this.#poison = poison;
  }

  take(spec: Spec): CpuBuffer {
    const count = sizeOf(spec.shape);
    const list = this.#idle.get(keyOf(spec.dtype, count));
    const bytes = count * bytesPerElement[spec.dtype];
    this.#liveBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    let buffer = list?.pop();
    if (buffer !== undefined) this.#idleBytes -= bytes;
    // over an ArrayBuffer of its own: small typed arrays would otherwise live on the moving heap, out of reach of C
    else {
      buffer = dataOf[spec.dtype](new ArrayBuffer(bytes));
      this.#made++;
    }
    if (this.#poison) poisonBuffer(buffer);
    return buffer;
  }

  give(buffer: CpuBuffer): void {
    const key = keyOfBuffer(buffer);
    const list = this.#idle.get(key) ?? [];
    // re-inserted at the end, so that iteration meets the longest unused length first
    this.#idle.delete(key);
    this.#idle.set(key, list);
    list.push(buffer);
    this.#liveBytes -= buffer.byteLength;
    this.#idleBytes += buffer.byteLength;
    if (this.#idleBytes > this.#peakBytes) this.#shrink();
  }

  #shrink(): void {
    for (const [key, list] of this.#idle) {
      for (let last = list.pop(); last !== undefined; last = list.pop()) {
        this.#idleBytes -= last.byteLength;
        if (this.#idleBytes <= this.#peakBytes) return;
      }
      this.#idle.delete(key);
    }
  }

  get made(): number {
    return this.#made;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  clear(): void {
    this.#idle.clear();
    this.#idleBytes = 0;
    this.#peakBytes = this.#liveBytes;
  }
}

function keyOf(dtype: DType, count: number): number {
  return count * classes + classOf[dtype];
}

function keyOfBuffer(buffer: CpuBuffer): number {
  if (buffer instanceof Float32Array) return keyOf("f32", buffer.length);
  if (buffer instanceof Float64Array) return keyOf("f64", buffer.length);
  if (buffer instanceof Uint16Array) return keyOf("bf16", buffer.length);
  if (buffer instanceof Int32Array) return keyOf("i32", buffer.length);
  if (buffer instanceof Int8Array) return keyOf("i8", buffer.length);
  return keyOf("u8", buffer.length);
}

function poisonBuffer(buffer: CpuBuffer): void {
  if (buffer instanceof Float32Array || buffer instanceof Float64Array) buffer.fill(Number.NaN);
  else if (buffer instanceof Uint16Array)
    buffer.fill(0x7fff); // NaN as bf16 and as f16
  else new Uint8Array(buffer.buffer).fill(0x7f);
}
