import { loadTokenizer } from "@ft/data";
import { asWeights, type ExportSource } from "@ft/export";
import { loadModel, loadModelFrom, saveModel } from "@ft/models";
import type { Linear } from "@ft/nn";
import { bitsandbytesFormat, errorTable, quantizationError } from "@ft/quant-nf4";
import { type Backend, FtError, sizeOf } from "@ft/tensor";
import { commitFolder } from "@ft/weights";
import { quantizedMethod } from "../config/quantization.ts";
import { quantizationDefaults } from "../config/train-config.ts";
import { bytes } from "../run/download.ts";
import { storedFormat } from "../run/stored-format.ts";
import { checkExport } from "./check-export.ts";
import { finishExport } from "./finish.ts";
import type { ExportFlags, ExportJob } from "./job.ts";

export const bnbTypes = ["nf4", "fp4", "int8"] as const;

/** A model's layers quantised as bitsandbytes writes them, and what that cost each weight. */
export async function toBnb(job: ExportJob): Promise<void> {
  const { opened, flags, backend, io, signal } = job;
  const { out, computeDtype } = flags;
  const quantization = settle(flags, chosen(job.type));
  if (await storedFormat(opened.model))
    throw new FtError(
      "unsupported",
      `${opened.model} is quantised already`,
      "export the model before its quantisation",
    );
  if (flags.check) await opened.tokenizer(); // a check without it fails; better before the work than after
  await using source = await opened.source("stored");
  const format = bitsandbytesFormat({ ...quantization, ...(computeDtype && { computeDtype }) });
  const { errors, held } = await quantised(source, format, { backend, out, signal });
  io.print(errorTable(errors));
  const { lines, kl } = await checkExport(job, source, {
    bases: false,
    tokenizer: () => loadTokenizer(out),
    model: () => loadModel(out, { backend, format: bitsandbytesFormat() }),
  });
  const dense = errors.reduce((sum, { shape: [o, i] }) => sum + 2 * o * i, 0);
  const merged = opened.adapter === undefined ? "" : ", adapter merged";
  await finishExport(job, {
    form: `bitsandbytes, ${quantization.type}${merged}`,
    checks: lines,
    saved: `${errors.length} layers in ${bytes(held)}, in 16 bits ${bytes(dense)}`,
    document: { ...quantization, layers: errors.length, bytes: held, errors, check: kl ?? null },
  });
}

/** Writes the quantised folder; gives what each weight lost and how many bytes the layers take. */
async function quantised(
  source: ExportSource,
  format: ReturnType<typeof bitsandbytesFormat>,
  { backend, out, signal }: { readonly backend: Backend; readonly out: string; readonly signal: AbortSignal },
): Promise<{ readonly errors: Awaited<ReturnType<typeof quantizationError>>; readonly held: number }> {
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
  await commitFolder(out, (temporary) => saveModel(model, temporary, { from, format, dtype }));
  return { errors, held: total(linears.values()) };
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
