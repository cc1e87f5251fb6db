import type { Linear } from "@ft/nn";
import { FtError } from "@ft/tensor";
import type { QuantType4bit } from "@ft/tensor/ops";
import { Int8Linear } from "../int8-linear.ts";
import { Nf4Linear } from "../nf4-linear.ts";
import type { HeldDType } from "../quantize/host-weight.ts";
import { torchNames } from "./quant-state.ts";

interface Kind {
  readonly type: QuantType4bit | "int8";
  readonly doubleQuant: boolean;
}

/** What all Linears have in common; a folder has one `quantization_config` for all. */
function kindOf(linears: ReadonlyMap<string, Linear>): Kind | undefined {
  let found: (Kind & { readonly path: string }) | undefined;
  for (const [path, linear] of linears) {
    const kind =
      linear instanceof Nf4Linear
        ? { type: linear.weight.type, doubleQuant: linear.weight.nestedAbsmax !== undefined }
        : { type: "int8" as const, doubleQuant: false };
    if (!(linear instanceof Nf4Linear) && !(linear instanceof Int8Linear)) continue;
    if (found && (found.type !== kind.type || found.doubleQuant !== kind.doubleQuant))
      throw new FtError(
        "unsupported",
        `[bitsandbytes] ${found.path} is ${found.type} and ${path} is ${kind.type}${found.type === kind.type ? ", of another nesting" : ""}`,
        "one folder has one kind of quantisation",
      );
    found ??= { path, ...kind };
  }
  return found;
}

/** `quantization_config` of config.json with the keys that transformers writes, but for
 * llm_int8_threshold: it refuses `6` for its 6.0, and has that by default. `skipped` are the modules left as floats. */
export function quantizationConfig(
  linears: ReadonlyMap<string, Linear>,
  { computeDtype, skipped }: { readonly computeDtype: HeldDType; readonly skipped: readonly string[] },
): { readonly [key: string]: unknown } {
  const kind = kindOf(linears);
  const four = kind !== undefined && kind.type !== "int8";
  const eight = kind?.type === "int8";
  return {
    _load_in_4bit: four,
    _load_in_8bit: eight,
    bnb_4bit_compute_dtype: torchNames[computeDtype],
    bnb_4bit_quant_storage: "uint8",
    bnb_4bit_quant_type: four ? kind.type : "fp4",
    bnb_4bit_use_double_quant: kind?.doubleQuant ?? false,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    // a list replaces transformers' own choice, which is the head
    llm_int8_skip_modules: skipped.length > 0 ? ["lm_head", ...skipped] : null,
    load_in_4bit: four,
    load_in_8bit: eight,
    quant_method: "bitsandbytes",
  };
}
