import { loadTokenizer } from "@ft/data";
import { rowLikelihood } from "@ft/eval";
import { type AwqBlock, asWeights, awqGroupSize, awqMisfit, exportAwq, openAwq } from "@ft/export";
import { type CausalLm, loadModelFrom } from "@ft/models";
import { type Backend, FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { several } from "../report/numbers.ts";
import { bytes as size } from "../run/download.ts";
import { calibrationRows } from "./calibration-rows.ts";
import { checkExport } from "./check-export.ts";
import { type Finished, finishExport } from "./finish.ts";
import { type ExportJob, mergedInto, shardSizeOf } from "./job.ts";
import { describePerplexity, perplexityOver } from "./perplexity.ts";

/** rows of the training data that the search looks at, unless told otherwise */
const usualRows = 128;

/**
 * A merged model with its layers in 4 bits by activation-aware scales, as vLLM reads them, and what that cost in perplexity.
 * @param use how the folder is served
 */
export async function toAwq(job: ExportJob, use: Finished["use"]): Promise<void> {
  const { opened, flags, backend, io, signal } = job;
  const { out, base, data, dtype } = flags;
  if (dtype !== undefined && dtype !== "f16")
    throw new FtError(
      "config",
      `--dtype ${dtype} is given with --to awq, which holds f16 beside its 4 bits`,
      "leave it out",
    );
  const shardSize = shardSizeOf(flags);
  await using source = await opened.source(base);
  const { config } = source;
  const groupSize = awqGroupSize(config, flags.groupSize);
  const tokenizer = await opened.tokenizer();
  const wanted = { data, adapter: opened.adapter, rows: flags.calibrationRows ?? usualRows };
  const rows = await calibrationRows(tokenizer, { ...wanted, context: config.maxPositions });
  io.note(`calibration ${rows.what}, groups of ${groupSize}`);
  const written = await exportAwq(source, out, {
    ...{ backend, calibration: rows.calibration, groupSize, signal, onProgress: progress(io) },
    ...(shardSize !== undefined && { shardSize }),
  });
  const { measured } = rows;
  const perplexity = async (model: CausalLm): Promise<number | undefined> =>
    measured && perplexityOver(measured, (row) => rowLikelihood(model, row), signal);
  let [before, after]: (number | undefined)[] = [];
  const { lines, kl } = await checkExport(job, source, {
    tokenizer: () => loadTokenizer(out),
    model: async () => {
      const model = await loadAwq(out, backend);
      after = await perplexity(model);
      return model;
    },
    also: async (reference) => {
      before = await perplexity(reference);
      return measured && before !== undefined && after !== undefined
        ? [`${describePerplexity(before, after)}, on ${measured.what}`]
        : ["no perplexity: no held-out row is short enough"];
    },
  });
  const misfit = awqMisfit(config, groupSize);
  const kernels =
    misfit && `vLLM's AWQ kernel takes outputs in multiples of 64 and of the group, which the ${misfit} are not`;
  await finishExport(job, {
    form: `AWQ, 4 bits in groups of ${groupSize}, the rest in float16${mergedInto(job)}`,
    checks: [`calibrated on ${rows.what}`, ...lines, ...(kernels ? [kernels] : [])],
    ...(use && { use }),
    saved: `${size(written.bytes)} in ${several(written.files.length, "file")}`,
    document: {
      ...{ base, groupSize, files: written.files, bytes: written.bytes, blocks: written.blocks },
      calibration: { rows: rows.calibration.length, tokens: rows.calibration.flat().length },
      perplexity: kl && measured ? { before, after, rows: measured.rows.length } : null,
      check: kl ?? null,
    },
  });
}

/** The folder as a model, its weights decoded. */
async function loadAwq(folder: string, backend: Backend): Promise<CausalLm> {
  await using opened = await openAwq(folder);
  const { weights, facts } = asWeights(opened);
  return await loadModelFrom(weights, facts, { backend });
}

/** Says how far it is, about every tenth. */
function progress(io: Io): (block: AwqBlock, blocks: number) => void {
  const begun = performance.now();
  return ({ block }, blocks) => {
    const done = block + 1;
    if (Math.floor((10 * done) / blocks) === Math.floor((10 * block) / blocks)) return;
    const left = Math.round(((performance.now() - begun) / 1000 / done) * (blocks - done));
    io.note(`quantised   ${done} of ${blocks} blocks${done < blocks ? `, ${left} s left` : ""}`);
  };
}
