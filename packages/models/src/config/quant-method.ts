import { Fields } from "./fields.ts";

/** `quant_method` of the `quantization_config` in a config.json ("bitsandbytes", "gptq", "awq"); undefined where weights are floats. */
export function quantMethod(json: unknown, file: string): string | undefined {
  const quantization = Fields.of(file, json).nested("quantization_config");
  if (quantization === undefined) return undefined;
  // transformers before 4.34 wrote no method beside bitsandbytes' own keys
  const old = quantization.has("load_in_4bit") || quantization.has("load_in_8bit");
  return quantization.text("quant_method", old ? "bitsandbytes" : "unnamed");
}
