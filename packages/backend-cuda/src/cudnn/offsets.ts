import type { Address, CudaContext, CudaView } from "../context.ts";
import { padded } from "../kernels/alignment.ts";
import type { AttentionShape } from "./attention-graph.ts";

/** Where sequences begin and how long they are, on the card, and what they were made from. */
interface Offsets {
  readonly memory: {
    readonly lengths: Address;
    readonly qOffsets: Address;
    readonly kOffsets: Address;
    readonly rowOffsets: Address;
  };
  madeFrom?: WeakRef<Int32Array> | undefined;
}

/**
 * All layers share one table: it is made anew when the segments are others than those it was made from. A recorded graph
 * has a table of its own and makes it every time, since nothing says where a graph begins.
 */
export function offsetsOf(context: CudaContext, shape: AttentionShape, segments: CudaView): Partial<Offsets["memory"]> {
  if (shape.kind === "dense") return {};
  const { batch: slots, heads, kvHeads, headDim } = shape;
  const [rows = 0, seq = 0] = segments.shape;
  const tokens = rows * seq;
  const { capturing } = context;
  const key = `cudnn offsets ${[slots, heads, kvHeads, headDim, seq, tokens, capturing]}`;
  const offsets = context.keep(key, (): Offsets => {
    const size = padded((slots + 1) * 8);
    const [lengths, qOffsets, kOffsets, rowOffsets] = [0, 1, 2, 3].map((i) => i * size);
    const base = context.reserve(4 * size);
    const place = (from = 0): Address => base + BigInt(from);
    return {
      memory: {
        lengths: place(lengths),
        qOffsets: place(qOffsets),
        kOffsets: place(kOffsets),
        rowOffsets: place(rowOffsets),
      },
    };
  });
  const { host } = segments.storage.buffer;
  const { memory } = offsets;
  if (capturing || host === undefined || offsets.madeFrom?.deref() !== host) {
    const units = [heads * headDim, kvHeads * headDim, heads];
    const { lengths, qOffsets, kOffsets, rowOffsets } = memory;
    const sizes = [tokens, seq, slots, ...units];
    context.launch("segment_runs", 1, 1024, [segments, ...sizes, lengths, qOffsets, kOffsets, rowOffsets]);
    offsets.madeFrom = host && new WeakRef(host);
  }
  return memory;
}
