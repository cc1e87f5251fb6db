import { bytesPerElement, type DataOf, type DType, dataOf, type Spec, sizeOf, type View } from "@ft/tensor";

/** What this backend calls a buffer: the host array of the dtype, always over memory of its own. */
export type CpuBuffer = DataOf[DType];
/** A value on this backend. */
export type CpuView = View<CpuBuffer>;

/** dtypes that share an array class share a free list */
const classOf: { readonly [D in DType]: number } = { f64: 0, f32: 1, bf16: 2, f16: 2, i32: 3, i8: 4, u8: 5, bool: 5 };
const classes = 6;

/** What buffers are made of: host arrays, or things that are only as large (a plan holds nothing). */
export interface BufferMaker {
  /** memory for an array of this dtype */
  readonly memory: (dtype: DType, bytes: number) => ArrayBuffer;
  /** the array over a whole memory */
  readonly over: (dtype: DType, memory: ArrayBuffer) => CpuBuffer;
}

const hostArrays: BufferMaker = {
  memory: (_, bytes) => new ArrayBuffer(bytes),
  over: (dtype, memory) => dataOf[dtype](memory),
};

/** Bytes of idle buffers that are worth keeping beside the largest live size, at least: lengths never fit each other quite. */
const slack = 2 ** 26;
/** Bytes let go after which a collection, of some 20 ms, is worth its time. */
const worthCollecting = 2 ** 28;

/** What a backend holds in its buffers, now. */
export interface BufferStats {
  /** buffers made since the backend was: what a training step in its steady state adds none to */
  readonly made: number;
  /** bytes kept for reuse */
  readonly idleBytes: number;
  /** bytes in use, the work arrays of kernels included */
  readonly liveBytes: number;
}

/**
 * Free lists by array class and length, so that a training step in its steady state allocates nothing: fresh pages cost
 * more than most elementwise kernels. Where batches change their shape, a length that is not there takes the next longer
 * one, of at most twice its size. Idle memory never exceeds the largest live size, and where something new is made, idle
 * and live memory together exceed that size by no more than a slack; the lengths longest unused go first.
 */
export class BufferPool implements BufferStats {
  readonly #idle = new Map<number, CpuBuffer[]>();
  readonly #poison: boolean;
  readonly #maker: BufferMaker;
  readonly #collect: () => void;
  #made = 0;
  #droppedBytes = 0;
  #idleBytes = 0;
  #liveBytes = 0;
  #peakBytes = 0;

  /**
   * @param poison fills every buffer that is handed out with NaN, or 0x7f bytes: whoever reads what was not written shows
   * @param collect frees the memory of arrays that nobody holds: called where much was let go and something new is made,
   *   since the collector does not come by itself within one synchronous backward
   */
  constructor(poison: boolean, maker: BufferMaker = hostArrays, collect: () => void = () => {}) {
    this.#poison = poison;
    this.#maker = maker;
    this.#collect = collect;
  }

  take(spec: Spec): CpuBuffer {
    const count = sizeOf(spec.shape);
    let buffer = this.#idle.get(keyOf(spec.dtype, count))?.pop() ?? this.#longer(spec.dtype, count);
    if (buffer !== undefined) this.#idleBytes -= buffer.buffer.byteLength;
    // over an ArrayBuffer of its own: small typed arrays would otherwise live on the moving heap, out of reach of C
    else {
      if (this.#droppedBytes >= worthCollecting) {
        this.#droppedBytes = 0;
        this.#collect();
      }
      buffer = this.#maker.over(spec.dtype, this.#maker.memory(spec.dtype, count * bytesPerElement[spec.dtype]));
      this.#made++;
    }
    this.#grow(buffer.buffer.byteLength);
    if (this.#poison) poisonBuffer(buffer);
    return buffer;
  }

  /** The beginning of the shortest idle buffer that is longer, if that is no more than twice as long. */
  #longer(dtype: DType, count: number): CpuBuffer | undefined {
    let key = Number.POSITIVE_INFINITY;
    for (const [at, list] of this.#idle)
      if (list.length > 0 && at % classes === classOf[dtype] && at > keyOf(dtype, count) && at < key) key = at;
    const memory = key <= keyOf(dtype, 2 * count) ? this.#idle.get(key)?.pop()?.buffer : undefined;
    return memory && this.#maker.over(dtype, memory).subarray(0, count);
  }

  /**
   * Counts an array from outside among the live buffers, in exchange for an idle one of its length if there is one: arrays
   * that come one after the other must not pile up here. One that is part of a larger memory is copied.
   */
  adopt(spec: Spec, data: CpuBuffer): CpuBuffer {
    if (data.byteLength !== data.buffer.byteLength || data.byteLength < 1024) {
      const buffer = this.take(spec);
      buffer.set(data);
      return buffer;
    }
    const spare = this.#idle.get(keyOf(spec.dtype, data.length))?.pop();
    if (spare) {
      this.#idleBytes -= spare.buffer.byteLength;
      this.#droppedBytes += spare.buffer.byteLength;
    }
    this.#grow(data.buffer.byteLength);
    return data;
  }

  give(buffer: CpuBuffer): void {
    const bytes = buffer.buffer.byteLength;
    const whole = bytes === buffer.byteLength ? buffer : this.#maker.over(dtypeOf(buffer), buffer.buffer);
    const key = keyOf(dtypeOf(whole), whole.length);
    const list = this.#idle.get(key) ?? [];
    // re-inserted at the end, so that iteration meets the longest unused length first
    this.#idle.delete(key);
    this.#idle.set(key, list);
    list.push(whole);
    this.#liveBytes -= bytes;
    this.#idleBytes += bytes;
    if (this.#idleBytes > this.#peakBytes) this.#shrink(this.#peakBytes);
  }

  #grow(bytes: number): void {
    this.#liveBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    const most = this.#peakBytes + Math.max(slack, this.#peakBytes / 8) - this.#liveBytes;
    if (this.#idleBytes > most) this.#shrink(most);
  }

  /** Lets idle buffers go until they are no more than `most` bytes. */
  #shrink(most: number): void {
    for (const [key, list] of this.#idle) {
      for (let last = list.pop(); last !== undefined; last = list.pop()) {
        this.#idleBytes -= last.byteLength;
        this.#droppedBytes += last.byteLength;
        if (this.#idleBytes <= most) return;
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

  get liveBytes(): number {
    return this.#liveBytes;
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

/** A dtype of the array's class. */
function dtypeOf(buffer: CpuBuffer): DType {
  if (buffer instanceof Float32Array) return "f32";
  if (buffer instanceof Float64Array) return "f64";
  if (buffer instanceof Uint16Array) return "bf16";
  if (buffer instanceof Int32Array) return "i32";
  if (buffer instanceof Int8Array) return "i8";
  return "u8";
}

function poisonBuffer(buffer: CpuBuffer): void {
  if (buffer instanceof Float32Array || buffer instanceof Float64Array) buffer.fill(Number.NaN);
  else if (buffer instanceof Uint16Array)
    buffer.fill(0x7fff); // NaN as bf16 and as f16
  else new Uint8Array(buffer.buffer).fill(0x7f);
}
