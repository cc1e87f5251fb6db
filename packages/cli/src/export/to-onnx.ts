import { loadTokenizer } from "@ft/data";
import { exportOnnx, isOnnxType } from "@ft/export";
import { several } from "../report/numbers.ts";
import { bytes as size } from "../run/download.ts";
import { checkExport } from "./check-export.ts";
import { checkOnnx, describeOnnx, type OnnxCheck } from "./check-onnx.ts";
import { finishExport } from "./finish.ts";
import { type ExportJob, mergedInto, shardSizeOf } from "./job.ts";
import { onnxUses } from "./onnx-use.ts";
import { findOnnxRuntime } from "./onnxruntime.ts";
import { heldOutRows } from "./perplexity.ts";
import { templateFiles } from "./template-files.ts";

/** A merged model as transformers.js loads it, a file of each type, compared in ONNX Runtime where that is installed. */
export async function toOnnx(job: ExportJob): Promise<void> {
  const { opened, flags, backend, signal } = job;
  const { out, base, data, check } = flags;
  const types = job.types.filter(isOnnxType);
  const dataFileSize = shardSizeOf(flags);
  await using source = await opened.source(base);
  const tokenizer = await opened.tokenizer();
  const runtime = await findOnnxRuntime();
  const wanted = { data, adapter: opened.adapter };
  const measured = check ? await heldOutRows(tokenizer, source.config.maxPositions, wanted) : undefined;
  const withTemplate = { ...source, files: templateFiles(source.files, tokenizer.chatTemplate) };
  const { files } = await exportOnnx(withTemplate, out, {
    ...{ types, backend, signal },
    ...(dataFileSize !== undefined && { dataFileSize }),
  });
  let found: readonly OnnxCheck[] = [];
  const { ort } = runtime;
  const { lines } = await checkExport(job, source, {
    tokenizer: () => loadTokenizer(out),
    ...(ort && {
      also: async (reference, prompts) => {
        found = await checkOnnx(job, ort, types, { reference, prompts, measured });
        const rows = measured ? `; perplexity on ${measured.what}` : "";
        return [
          `in onnxruntime ${runtime.version} on the CPU, against ${opened.adapter === undefined ? "the model it was made from" : "base and adapter"}${rows}:`,
          ...found.map((one) => describeOnnx(one, prompts.length)),
        ];
      },
    }),
  });
  const missing = check && ort === undefined ? [`not checked in onnxruntime: ${runtime.why}`] : [];
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  await finishExport(job, {
    form: `ONNX, decoder with key/value cache, ${types.join(", ")}${mergedInto(job)}`,
    loader: "transformers.js",
    checks: [...lines, ...missing],
    use: () => onnxUses(out, types[0] ?? "fp32", tokenizer.chatTemplate !== undefined),
    saved: `${size(bytes)} in ${several(files.length, "file")}: ${types.join(", ")}`,
    document: {
      base,
      types,
      files,
      bytes,
      check: found.length > 0 ? found : null,
      rows: measured?.rows.length ?? null,
    },
  });
}
