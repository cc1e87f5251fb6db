import { join } from "node:path";
import { quantMethod } from "@ft/models";
import type { Linear, LinearFormat } from "@ft/nn";
import { bitsandbytesFormat, Int8Linear, Nf4Linear } from "@ft/quant-nf4";
import { readJsonFile } from "@ft/weights";
import type { Quantization } from "../config/train-config.ts";
import { exists } from "./exists.ts";

/** The format of a folder whose config.json says that it is quantised; undefined for floats. What is no model is for the loader to say. */
export async function storedFormat(path: string): Promise<LinearFormat | undefined> {
  const file = join(path, "config.json");
  if (!(await exists(file))) return undefined;
  return quantMethod(await readJsonFile(file), file) === undefined ? undefined : bitsandbytesFormat();
}

/** How the first quantised layer of these is held; undefined where none is. */
export function quantizationOf(linears: Iterable<Linear>): Quantization | undefined {
  for (const linear of linears) {
    if (linear instanceof Int8Linear) return { type: "int8" };
    if (!(linear instanceof Nf4Linear)) continue;
    const { type, blockSize, nestedAbsmax } = linear.weight;
    return { type, doubleQuant: nestedAbsmax !== undefined, blockSize };
  }
  return undefined;
}
