import { type Backend, type FloatDType, hasWindows, type Parameter, tensor, windowElements } from "@ft/tensor";
import { type Format4bit, quantize4bit } from "@ft/tensor/ops";
import { Nf4Linear } from "../nf4-linear.ts";
import { checkBlockSize } from "./block-size.ts";
import { checkFinite, type HeldDType, type HostWeight } from "./host-weight.ts";
import { meanAbsmax, nestAbsmax, nestInPlace } from "./nested.ts";
import { quantizeStream } from "./quantize-stream.ts";

/** How a weight is quantised to 4 bits. */
export interface Quantization4bit extends Format4bit {
  /** quantise absmax as well: 4.127 instead of 4.5 bits a weight at block size 64 */
  readonly doubleQuant: boolean;
}

/**
 * A float weight [out, in] in 4 bits: codes and first-level absmax equal bitsandbytes' to the byte. Reads the weight in
 * windows, so that it need not be in memory as a whole; codes stay where they are made, if the backend has windows. The bias becomes the
 * Linear's own.
 * Errors: "input" (block size), "numeric" (a value that is not finite, named with its place).
 */
export async function quantizeTo4bit(
  backend: Backend,
  from: HostWeight,
  { type, blockSize, doubleQuant }: Quantization4bit,
  bias?: Parameter<FloatDType, readonly ["out"]>,
): Promise<Nf4Linear> {
  checkBlockSize(blockSize);
  const { shape, dtype } = from;
  const common = { type, blockSize, shape, axes: ["out", "in"] as const };
  if (hasWindows(backend)) {
    const { codes, absmax } = await quantizeStream(backend, from, { type, blockSize });
    if (!doubleQuant) return new Nf4Linear({ ...common, codes, absmax }, { from: dtype }, bias);
    const offset = meanAbsmax(await absmax.read());
    return new Nf4Linear({ ...common, codes, ...nestInPlace(absmax, offset) }, { from: dtype, offset }, bias);
  }
  const size = shape[0] * shape[1];
  const codes = new Uint8Array(Math.ceil(size / 2));
  const absmax = new Float32Array(Math.ceil(size / blockSize));
  // windows hold whole blocks of every size
  for (let start = 0; start < size; start += windowElements) {
    const data = await from.read(start, Math.min(windowElements, size - start));
    checkFinite(from, data, start);
    const x = tensor<HeldDType, readonly string[]>(backend, dtype, ["element"], [data.length], data, { give: true });
    const made = quantize4bit(x, { type, blockSize });
    x.dispose();
    codes.set(await made.codes.read(), start / 2);
    absmax.set(await made.absmax.read(), start / blockSize);
    made.codes.dispose();
    made.absmax.dispose();
  }
  const packed = { ...common, codes: tensor(backend, "u8", ["byte"], [codes.length], codes, { give: true }) };
  if (!doubleQuant) {
    const plain = tensor(backend, "f32", ["block"], [absmax.length], absmax, { give: true });
    return new Nf4Linear({ ...packed, absmax: plain }, { from: dtype }, bias);
  }
  const offset = meanAbsmax(absmax);
  return new Nf4Linear({ ...packed, ...nestAbsmax(backend, absmax, offset) }, { from: dtype, offset }, bias);
}
