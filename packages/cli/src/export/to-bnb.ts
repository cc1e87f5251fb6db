import { asWeights } from "@ft/export";
import { loadModelFrom, saveModel } from "@ft/models";
import type { Linear } from "@ft/nn";
import { bitsandbytesFormat, errorTable, quantizationError } from "@ft/quant-nf4";
import { FtError, sizeOf } from "@ft/tensor";
import { commitFolder } from "@ft/weights";
import { quantizedMethod } from "../config/quantization.ts";
import { quantizationDefaults } from "../config/train-config.ts";
import { bytes } from "../run/download.ts";
import { storedFormat } from "../run/stored-format.ts";
import type { ExportFlags, ExportJob } from "./job.ts";

export const bnbTypes = ["nf4", "fp4", "int8"] as const;

/** A model's layers quantised as bitsandbytes writes them, and what that cost each weight. */
export async function toBnb({ opened, flags, type, backend, io, signal }: ExportJob): Promise<void> {
  const quantization = settle(flags, chosen(type));
  if (await storedFormat(opened.model))
    throw new FtError(
      "unsupported",
      `${opened.model} is quantised already`,
      "export the model before its quantisation",
    );
  await using source = await opened.source("stored");
  const { computeDtype } = flags;
  const format = bitsandbytesFormat({ ...quantization, ...(computeDtype && { computeDtype }) });
  const { weights, facts } = asWeights(source);
  using model = await loadModelFrom(weights, facts, { backend, format });
  signal.throwIfAborted();
  const linears = model.linears();
  const errors = await quantizationError(linears, async (at) => {
    signal.throwIfAborted();
    const name = `${at}.weight`;
    return source.readWindow(name, 0, sizeOf(source.tensors.get(name)?.shape ?? []));
  });
  const dtype = source.tensors.get("model.embed_tokens.weight")?.dtype ?? "f32";
  const from = { config: source.hfConfig, files: source.files };
  await commitFolder(flags.out, (temporary) => saveModel(model, temporary, { from, format, dtype }));
  io.print(errorTable(errors));
  const sizes = { held: total(linears.values()), dense: errors.reduce((sum, { shape: [o, i] }) => sum + 2 * o * i, 0) };
  io.note(`saved       ${flags.out}; ${linears.size} layers in ${bytes(sizes.held)}, in 16 bits ${bytes(sizes.dense)}`);
  io.document({ out: flags.out, ...quantization, layers: linears.size, bytes: sizes.held, errors });
}

type BnbType = (typeof bnbTypes)[number];

function chosen(type: string): BnbType {
  return bnbTypes.find((each) => each === type) ?? "nf4";
}

function settle({ blockSize, doubleQuant }: ExportFlags, type: BnbType) {
  if (type === "int8" && !doubleQuant)
    throw new FtError("config", "--no-double-quant is given with type int8, which has one scale a row", "leave it out");
  quantizedMethod({ quantization: { type, ...(blockSize !== undefined && { blockSize }) } });
  return type === "int8" ? { type } : { type, doubleQuant, blockSize: blockSize ?? quantizationDefaults.blockSize };
}

function total(linears: Iterable<Linear>): number {
  let sum = 0;
  for (const linear of linears) sum += linear.bytes;
  return sum;
}
