import {
  type Backend,
  bytesOf,
  type DataOf,
  type DType,
  dataOf,
  dim,
  memory,
  type PrimitiveKernels,
  type Spec,
  sizeOf,
} from "@ft/tensor";
import type { Plannable } from "./plannable.ts";
import { isPlanned, plannedArray, plannedMemory, plannedOver } from "./planned-array.ts";

/** Work counted since the plan began, or since reset(). */
export interface PlannedWork {
  /** floating-point operations of matrix products, attention and the loss */
  flops: number;
  /** bytes that everything else reads and writes */
  bytes: number;
  /** calls of primitives: ops that have no kernel for what they were given run in these, and slowly */
  primitives: number;
}

/** Bytes that the real backend would hold now, and the most there have been since reset(). */
export interface PlannedMemory {
  /** in buffers that are in use, work arrays of kernels included */
  readonly live: number;
  /** in buffers kept for reuse */
  readonly idle: number;
  /** beside its buffers, in what kernels keep between calls */
  readonly kept: number;
  /** the largest sum of these and of what single calls take */
  readonly peak: number;
  /** what was there at that peak beside live tensors: buffers kept for reuse, and work memory of kernels */
  readonly atPeak: { readonly idle: number; readonly workspace: number };
}

/** A backend that holds nothing and computes nothing. */
export interface PlanBackend<B = DataOf[DType]> extends Backend<B> {
  readonly work: PlannedWork;
  readonly memory: PlannedMemory;
  /** Counts bytes that are taken for a moment outside its buffers, such as what a file is read into. */
  beside(bytes: number): void;
  /** Restarts the counts of work and both peaks, that of `memory(backend)` included. */
  reset(): void;
}

/** Settings of createPlanBackend. */
export interface PlanOptions<B = DataOf[DType]> {
  /** the backend to plan for */
  readonly like: Plannable<B>;
  /** what every float is that the host reads back: large, so that a plan goes through the clipping of gradients */
  readonly value?: number;
}

/**
 * A backend for plans: run a real training step on it, and `memory(backend).peak` is the peak of live bytes that the step
 * would have on `like`, to the byte, while nothing is allocated. It uses `like`'s own kernels (what they accept, which
 * buffers they take over, what they take to work in) and its own way of keeping buffers, over arrays that are not there.
 */
export function createPlanBackend<B = DataOf[DType]>({ like, value = 1e6 }: PlanOptions<B>): PlanBackend<B> {
  const work: PlannedWork = { flops: 0, bytes: 0, primitives: 0 };
  const slots = new Map<string, number>();
  const readBack = hostCopies(value);
  let kept = 0;
  let peak = 0;
  let atPeak = { idle: 0, workspace: 0 };
  let begun = false;
  const look = (transient: number): void => {
    // what a card keeps from the start on is reported while the dry run is made
    if (!begun) return;
    const { live, idle } = dry.held();
    const sum = live + idle + kept + transient;
    if (sum <= peak) return;
    peak = sum;
    atPeak = { idle, workspace: sum - idle - memory(backend).bytes };
  };
  const dry = like.dryRun({
    maker: {
      memory: (dtype, bytes) => (isReal(dtype, bytes) ? new ArrayBuffer(bytes) : plannedMemory(bytes)),
      over: (dtype, memory) => (isReal(dtype, memory.byteLength) ? dataOf[dtype](memory) : plannedOver(dtype, memory)),
    },
    call({ flops, bytes, transient, kept: taken }) {
      work.flops += flops;
      work.bytes += bytes;
      for (const [name, size] of Object.entries(taken)) {
        const more = Math.max(0, size - (slots.get(name) ?? 0));
        slots.set(name, (slots.get(name) ?? 0) + more);
        kept += more;
      }
      look(transient);
    },
  });
  begun = true;
  const { adopt, part } = dry;
  const backend: PlanBackend<B> = {
    name: `plan for ${like.name}`,
    dtypes: like.dtypes,
    mutable: like.mutable,
    primitives: counted(work),
    kernels: like.kernels,
    context: dry.context,
    work,
    memory: {
      get live() {
        return dry.held().live;
      },
      get idle() {
        return dry.held().idle;
      },
      get kept() {
        return kept;
      },
      get peak() {
        return peak;
      },
      get atPeak() {
        return atPeak;
      },
    },
    alloc(spec) {
      const buffer = dry.alloc(spec);
      look(0);
      return buffer;
    },
    ...(adopt && {
      adopt(spec: Spec, data: DataOf[DType]): B {
        const real = isPlanned(data) || isReal(spec.dtype, data.byteLength);
        const buffer = adopt(spec, real ? data : plannedArray(spec));
        look(0);
        return buffer;
      },
    }),
    ...(part && { part }),
    free: (buffer) => dry.free(buffer),
    bytes: (spec) => like.bytes(spec),
    write(buffer, spec, data) {
      if (dry.write) dry.write(buffer, spec, data);
      else copyReal(buffer, data);
    },
    async read(_buffer, spec) {
      // the copy is the host's, which is no part of a card
      look(dry.write ? 0 : bytesOf(spec));
      return readBack(spec);
    },
    beside: look,
    reset() {
      Object.assign(work, { flops: 0, bytes: 0, primitives: 0 });
      peak = 0;
      memory(backend).peak = memory(backend).bytes;
      look(0);
    },
  };
  return backend;
}

/** Host values into a buffer that is a host array, where both are there. */
function copyReal(buffer: unknown, data: DataOf[DType]): void {
  if (ArrayBuffer.isView(buffer) && "set" in buffer && !isPlanned(buffer) && !isPlanned(data))
    (buffer as DataOf[DType]).set(data);
}

/**
 * What the host reads: floats of one value, zeros otherwise. Large copies share their memory, since nobody looks at them
 * all, and beyond any window of an optimizer or a quantiser there is none: only files take so much at once.
 */
function hostCopies(value: number): (spec: Spec) => ArrayBuffer {
  let last: { readonly dtype: DType; readonly bytes: ArrayBuffer } | undefined;
  return (spec) => {
    const { dtype } = spec;
    const size = bytesOf(spec);
    if (size > 2 ** 27) return new ArrayBuffer(0);
    if (last?.dtype === dtype && last.bytes.byteLength === size) return last.bytes;
    const array = dataOf[dtype](new ArrayBuffer(size));
    if (dtype === "f32" || dtype === "f64") array.fill(value);
    if (size > 2 ** 16) last = { dtype, bytes: array.buffer };
    return array.buffer;
  };
}

/** Ids and single numbers are there: kernels look at them, and they take no space to speak of. */
function isReal(dtype: DType, bytes: number): boolean {
  return dtype === "i32" || bytes <= 64;
}

/** Primitives that only count. */
function counted(work: PlannedWork): PrimitiveKernels {
  const moves = (_inputs: object, _attrs: object, out: Spec): void => {
    work.primitives++;
    work.bytes += 2 * bytesOf(out);
  };
  return {
    fill: moves,
    iota: moves,
    random: moves,
    cast: moves,
    permute: moves,
    slice: moves,
    concat: moves,
    gather: moves,
    scatterAdd: moves,
    unary: moves,
    binary: moves,
    compare: moves,
    where: moves,
    reduce: moves,
    argmax: moves,
    searchSorted: moves,
    matmul({ a }, { ta }, out) {
      work.primitives++;
      work.flops += 2 * sizeOf(out.shape) * dim(a, ta ? -2 : -1);
    },
  };
}
