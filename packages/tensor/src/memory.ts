import type { Backend, View } from "./backend.ts";
import type { DataOf, DType, Spec } from "./dtype.ts";
import { FtError } from "./error.ts";

/** Live buffers of a backend, the bytes they hold, and the largest that sum has been. */
export interface MemoryStats {
  live: number;
  bytes: number;
  peak: number;
}

const statsOf = new WeakMap<Backend, MemoryStats>();

/** Buffers alive on a backend: what a leak check compares before and after. Assign `peak` to restart its measurement. */
export function memory(backend: Backend): MemoryStats {
  let stats = statsOf.get(backend);
  if (stats === undefined) {
    stats = { live: 0, bytes: 0, peak: 0 };
    statsOf.set(backend, stats);
  }
  return stats;
}

/** A counted buffer. Tensor handles, views the tape keeps and gradients under way each hold one reference. */
export class Storage<B = any> {
  readonly backend: Backend<B>;
  readonly spec: Spec;
  #buffer: B | undefined;
  /** constants live as long as their backend and are not counted as live memory */
  readonly #constant: boolean;
  /** the storage that this one is a part of: it is held until the part is released */
  readonly #whole: Storage<B> | undefined;
  #refs = 1;

  /**
   * @param given data that the caller gives up: the buffer itself where the backend can adopt them, else copied
   * @param part the buffer is part of another storage's, nothing new
   */
  constructor(
    backend: Backend<B>,
    spec: Spec,
    constant = false,
    given?: DataOf[DType],
    part?: { readonly of: Storage<B>; readonly buffer: B },
  ) {
    this.backend = backend;
    this.spec = spec;
    this.#constant = constant;
    this.#whole = part?.of;
    if (part) {
      part.of.retain();
      this.#buffer = part.buffer;
      return;
    }
    if (given && backend.adopt) this.#buffer = backend.adopt(spec, given);
    else {
      const buffer = backend.alloc(spec);
      this.#buffer = buffer;
      if (given) backend.write(buffer, spec, given);
    }
    if (constant) return;
    const stats = memory(backend);
    stats.live++;
    stats.bytes += backend.bytes(spec);
    stats.peak = Math.max(stats.peak, stats.bytes);
  }

  get buffer(): B {
    if (this.#buffer === undefined) throw usedAfterDispose();
    return this.#buffer;
  }

  /** True when exactly one holder is left: only then may a kernel take the buffer over. */
  get exclusive(): boolean {
    return this.#refs === 1 && !this.#constant;
  }

  retain(): void {
    if (this.#refs === 0) throw usedAfterDispose();
    this.#refs++;
  }

  release(): void {
    if (this.#refs === 0)
      throw new FtError(
        "disposed",
        "[tensor] a buffer is released twice",
        "dispose a tensor once, or leave it to scope()",
      );
    if (--this.#refs > 0) return;
    const { buffer } = this;
    // a tape or a handle may outlive this by a whole backward, and must not keep the memory
    this.#buffer = undefined;
    if (this.#whole) {
      this.#whole.release();
      return;
    }
    const stats = memory(this.backend);
    stats.live--;
    stats.bytes -= this.backend.bytes(this.spec);
    this.backend.free(buffer);
  }
}

function usedAfterDispose(): FtError {
  return new FtError(
    "disposed",
    "[tensor] a buffer is used after dispose",
    "return it from scope() or dispose it later",
  );
}

/** What one op makes on the way: all of it is freed together, except what somebody else has retained by then. */
export class Temps {
  readonly backend: Backend;
  readonly #made: Storage[] = [];

  constructor(backend: Backend) {
    this.backend = backend;
  }

  alloc(spec: Spec): View {
    const storage = new Storage(this.backend, spec);
    this.#made.push(storage);
    return { storage, dtype: spec.dtype, shape: spec.shape };
  }

  free(): void {
    for (const storage of this.#made.splice(0)) storage.release();
  }
}

const constantsOf = new WeakMap<Backend, Map<DataOf[DType], View>>();

/** A host table (quantisation codes, maps) uploaded once per backend and kept; identified by the array itself. */
export function constant(backend: Backend, table: Float32Array<ArrayBuffer>): View {
  let known = constantsOf.get(backend);
  if (known === undefined) {
    known = new Map();
    constantsOf.set(backend, known);
  }
  let view = known.get(table);
  if (view === undefined) {
    const spec: Spec = { dtype: "f32", shape: [table.length] };
    const storage = new Storage(backend, spec, true);
    backend.write(storage.buffer, spec, table);
    view = { storage, ...spec };
    known.set(table, view);
  }
  return view;
}
