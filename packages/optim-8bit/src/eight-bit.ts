import type { AnyOptimizer, Place } from "@ft/optim";
import { FtError, isFloat, sameShape, sizeOf } from "@ft/tensor";
import type { Map8bit } from "@ft/tensor/ops";
import { type Coding, codedSlots, decodeSlots, encodeSlots } from "./coded-slot.ts";

/** What a step is told. */
export type StepAt = Parameters<AnyOptimizer["step"]>[0];

/** Settings of eightBit, each with its default. */
export interface EightBitOptions {
  /** what the result is called; the inner optimizer's name and "8bit" */
  readonly name?: string;
  /** parameters of fewer elements keep the inner optimizer's own slots; 4096 */
  readonly min8bitSize?: number;
  /** elements that share a largest magnitude, a power of two from 64 to 4096; 256 */
  readonly blockSize?: number;
  /** maps by slot; "udynamic" for slots that the inner optimizer calls nonNegative, "dynamic" for others */
  readonly maps?: { readonly [slot: string]: Map8bit };
  /** steps the parameters below min8bitSize, where those are stepped otherwise; has the slots and scalars of the inner one */
  readonly small?: AnyOptimizer;
  /** the whole step over codes, where the backend has it in one pass; undefined where decoding, step and encoding are apart */
  readonly fused?: (at: StepAt & { readonly blockSize: number }) => ReturnType<AnyOptimizer["step"]> | undefined;
}

/**
 * The same optimizer with its slots in 8 bits between steps: slot `m` of a parameter becomes codes, u8 in its shape, and
 * `m.absmax`, f32 [⌈elements/blockSize⌉]. A step decodes them to f32, is the inner optimizer's, and encodes what comes
 * out, so that the update itself uses moments that were not rounded. Slots that are not one float per element pass through.
 * Code "config" for settings out of range. Source: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization".
 */
export function eightBit(inner: AnyOptimizer, options: EightBitOptions = {}): AnyOptimizer {
  const { name = `${inner.name}8bit`, min8bitSize = 4096, blockSize = 256, maps = {}, small = inner, fused } = options;
  if (!Number.isInteger(min8bitSize) || min8bitSize < 0)
    throw new FtError("config", `${name}.min8bitSize is ${min8bitSize}`, "give a number of elements, 0 for all");
  if (![64, 128, 256, 512, 1024, 2048, 4096].includes(blockSize))
    throw new FtError("config", `${name}.blockSize is ${blockSize}`, "give a power of two from 64 to 4096");
  if (inner.keepsMasters)
    throw new FtError(
      "config",
      `${inner.name} keeps master weights, which 8 bits cannot hold`,
      "wrap the codec instead",
    );

  const isSmall = ({ param, size = sizeOf(param.shape) }: Place): boolean => size < Math.max(min8bitSize, 1);
  const codingOf = (slot: string): Coding => ({
    map: maps[slot] ?? (inner.nonNegative?.includes(slot) ? "udynamic" : "dynamic"),
    blockSize,
  });
  const group = inner.group !== undefined && blockSize % inner.group === 0 ? blockSize : undefined;
  return {
    name,
    ...(group !== undefined && { group }),
    init(at) {
      if (isSmall(at)) return small.init(at);
      const first = inner.init(at);
      const floats = Object.entries(first).filter(([, x]) => isFloat(x.dtype) && sameShape(x.shape, at.param.shape));
      return encodeSlots(
        first,
        floats.map(([slot]) => slot),
        codingOf,
      );
    },
    scalars: (at) => inner.scalars(at),
    step(at) {
      if (isSmall(at)) return small.step(at);
      const whole = fused?.({ ...at, blockSize });
      if (whole) return whole;
      const { param, slots } = at;
      const floats = decodeSlots(slots, param.dtype, codingOf);
      const next = inner.step({ ...at, slots: floats });
      const coded = codedSlots(slots);
      const encoded = encodeSlots(next.slots, coded, codingOf);
      for (const slot of coded) floats[slot]?.dispose();
      return { param: next.param, slots: encoded };
    },
    ...(inner.evaluated && {
      evaluated(at) {
        if (isSmall(at)) return small.evaluated?.(at) ?? at.param.as(...at.param.axes);
        const floats = decodeSlots(at.slots, at.param.dtype, codingOf);
        const value = inner.evaluated?.({ ...at, slots: floats }) ?? at.param.as(...at.param.axes);
        for (const slot of codedSlots(at.slots)) if (floats[slot] !== value) floats[slot]?.dispose();
        return value;
      },
    }),
  };
}
