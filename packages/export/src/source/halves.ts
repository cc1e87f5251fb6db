import { FtError, f32ToF16 } from "@ft/tensor";

/** The f16 patterns of finite values. Code "numeric" for one that f16 cannot hold, with the tensor and what to do. */
export function halves(name: string, values: Float32Array<ArrayBuffer>, instead: string): Uint16Array<ArrayBuffer> {
  const out = f32ToF16(values);
  for (let i = 0; i < out.length; i++)
    if ((out[i]! & 0x7c00) === 0x7c00)
      throw new FtError("numeric", `[export] ${name} holds ${values[i]}, which f16 cannot`, instead);
  return out;
}
