import { blockSizes } from "@ft/quant-nf4";
import { FtError } from "@ft/tensor";
import type { PartialConfig, Quantization } from "./train-config.ts";

/** What the method and the quantisation say of each other. */
export interface QuantizedMethod {
  readonly method: "lora" | "qlora" | "full";
  /** as it was given, checked */
  readonly quantization?: Quantization;
  readonly compute?: "f32" | "bf16";
}

/** Reads `method`, `quantization` and `compute` together: lora over a quantised base is qlora, full over one is refused. */
export function quantizedMethod({ method = "lora", quantization, compute }: PartialConfig): QuantizedMethod {
  const rest = compute === undefined ? {} : { compute };
  if (quantization === undefined) return { method, ...rest };
  if (method === "full")
    throw new FtError(
      "config",
      "quantization is given with method full, which trains every weight",
      "use method qlora, or leave quantization out",
    );
  const { type, blockSize, computeDtype } = quantization;
  if (type === "int8")
    for (const key of ["blockSize", "doubleQuant"] as const)
      if (quantization[key] !== undefined)
        throw new FtError(
          "config",
          `quantization.${key} is given with type int8, which has one scale a row`,
          `leave ${key} out, or use type nf4`,
        );
  if (blockSize !== undefined && !blockSizes.includes(blockSize))
    throw new FtError("config", `quantization.blockSize is ${blockSize}`, `use one of ${blockSizes.join(", ")}`);
  if (computeDtype === "f16")
    throw new FtError(
      "config",
      "quantization.computeDtype is f16, in which the cpu backend computes no products",
      "use f32, or bf16 where the processor has such products; on a card leave it out and set dtype to f16",
    );
  if (computeDtype !== undefined && compute !== undefined && computeDtype !== compute)
    throw new FtError(
      "config",
      `quantization.computeDtype is ${computeDtype}, compute ${compute}`,
      "products over a quantised base are computed in `compute`: keep one of them",
    );
  const products = computeDtype ?? compute;
  return { method: "qlora", quantization, ...(products && { compute: products }) };
}
