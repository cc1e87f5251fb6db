import type { StoredTensors } from "@ft/nn";
import type { QuantType4bit } from "@ft/tensor/ops";

/** The tensors beside a 4-bit weight. */
export interface Names4bit {
  readonly absmax: string;
  readonly map: string;
  readonly nestedAbsmax: string;
  readonly nestedMap: string;
  readonly state: string;
}

/** Names of the tensors beside a 4-bit weight, as bitsandbytes saves its QuantState. */
export function names4bit(weight: string, type: QuantType4bit): Names4bit {
  return {
    absmax: `${weight}.absmax`,
    map: `${weight}.quant_map`,
    nestedAbsmax: `${weight}.nested_absmax`,
    nestedMap: `${weight}.nested_quant_map`,
    state: `${weight}.quant_state.bitsandbytes__${type}`,
  };
}

/** Names of the tensors beside an int8 weight, as bitsandbytes saves a Linear8bitLt: of the module, not the weight. */
export function namesInt8(weight: string): { readonly absmax: string; readonly format: string } {
  const module = weight.replace(/\.weight$/, "");
  return { absmax: `${module}.SCB`, format: `${module}.weight_format` };
}

/** How a weight is stored; undefined where it is stored as floats. */
export function storedAs(source: StoredTensors, weight: string): QuantType4bit | "int8" | undefined {
  const { tensors } = source;
  for (const type of ["nf4", "fp4"] as const) if (tensors.has(names4bit(weight, type).state)) return type;
  if (tensors.get(weight)?.host === "i8") return "int8";
  // codes without their statistics: read as 4-bit, so that the error says what is missing
  return tensors.get(weight)?.host === "u8" ? "nf4" : undefined;
}

/** The tensors beside a stored weight that the file has. */
export function companionsOf(source: StoredTensors, weight: string): string[] {
  const stored = storedAs(source, weight);
  if (stored === undefined) return [];
  const names = stored === "int8" ? namesInt8(weight) : names4bit(weight, stored);
  return Object.values(names).filter((name) => source.tensors.has(name));
}
