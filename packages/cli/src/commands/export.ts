import { readdir } from "node:fs/promises";
import { loadModel, saveModel } from "@ft/models";
import type { Linear } from "@ft/nn";
import { bitsandbytesFormat, errorTable, quantizationError } from "@ft/quant-nf4";
import { FtError } from "@ft/tensor";
import { openWeights } from "@ft/weights";
import { quantizedMethod } from "../config/quantization.ts";
import { quantizationDefaults } from "../config/train-config.ts";
import type { Io } from "../io.ts";
import { bytes } from "../run/download.ts";
import { exists } from "../run/exists.ts";
import { openBackend } from "../run/open-backend.ts";
import { resolveModel } from "../run/resolve-model.ts";
import { storedFormat } from "../run/stored-format.ts";

/** What a model can be exported to. */
export const targets: readonly string[] = ["bnb"];

export interface ExportFlags {
  readonly to: string;
  readonly model: string;
  readonly out: string;
  readonly type: "nf4" | "fp4" | "int8";
  readonly blockSize?: number;
  /** false: the scales of the blocks stay f32 */
  readonly doubleQuant: boolean;
  readonly computeDtype?: "f32" | "bf16" | "f16";
  readonly threads?: number;
}

/** `ft export --to bnb`: a model's layers quantised as bitsandbytes writes them, and what that cost each weight. */
export async function exportCommand(flags: ExportFlags, io: Io, signal: AbortSignal): Promise<void> {
  if (!targets.includes(flags.to))
    throw new FtError("config", `there is no export to "${flags.to}"`, `use --to ${targets.join(" or ")}`);
  const quantization = settle(flags);
  await refuseUsed(flags.out);
  const { path } = await resolveModel(flags.model, "model", io, signal);
  if (path.endsWith(".gguf"))
    throw new FtError(
      "unsupported",
      `${path} cannot be written as a folder with its tokenizer`,
      "export from a Hugging Face folder",
    );
  if (await storedFormat(path))
    throw new FtError("unsupported", `${path} is quantised already`, "export the model before its quantisation");
  const backend = await openBackend("cpu", flags);
  const { computeDtype } = flags;
  const format = bitsandbytesFormat({ ...quantization, ...(computeDtype && { computeDtype }) });
  using model = await loadModel(path, { backend, format });
  signal.throwIfAborted();
  const linears = model.linears();
  const dtype = model.parameters().get("model.embed_tokens.weight")?.dtype;
  await using source = await openWeights(path);
  const errors = await quantizationError(linears, async (at) => {
    signal.throwIfAborted();
    return source.read(`${at}.weight`, "f32");
  });
  await saveModel(model, flags.out, { from: path, format, dtype: dtype === "bf16" || dtype === "f16" ? dtype : "f32" });
  io.print(errorTable(errors));
  const sizes = { held: total(linears.values()), dense: errors.reduce((sum, { shape: [o, i] }) => sum + 2 * o * i, 0) };
  io.note(`saved       ${flags.out}; ${linears.size} layers in ${bytes(sizes.held)}, in 16 bits ${bytes(sizes.dense)}`);
  io.document({ out: flags.out, ...quantization, layers: linears.size, bytes: sizes.held, errors });
}

function settle({ type, blockSize, doubleQuant }: ExportFlags) {
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

async function refuseUsed(folder: string): Promise<void> {
  if ((await exists(folder)) && (await readdir(folder).catch(() => ["a file"])).length > 0)
    throw new FtError("exists", `${folder} exists already`, "remove it or choose another --out");
}
