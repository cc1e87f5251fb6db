import { loadTokenizer } from "@ft/data";
import { exportSafetensors } from "@ft/export";
import { hfDTypes, loadModel } from "@ft/models";
import { several } from "../report/numbers.ts";
import { bytes as size } from "../run/download.ts";
import { checkExport } from "./check-export.ts";
import { type Finished, finishExport } from "./finish.ts";
import { type ExportJob, mergedInto, shardSizeOf } from "./job.ts";

/**
 * A merged model as a Hugging Face folder, checked against base and adapter. Both bases of a QLoRA adapter are measured.
 * @param use how the folder is served
 */
export async function toSafetensors(job: ExportJob, use?: Finished["use"]): Promise<void> {
  const { opened, flags, backend, signal } = job;
  const { out, dtype, base } = flags;
  const shardSize = shardSizeOf(flags);
  await using source = await opened.source(base);
  if (flags.check) await opened.tokenizer(); // a check without it fails; better before the work than after
  const written = await exportSafetensors(source, out, {
    signal,
    ...(dtype && { dtype }),
    ...(shardSize !== undefined && { shardSize }),
  });
  const { lines, kl, other } = await checkExport(job, source, {
    tokenizer: () => loadTokenizer(out),
    model: () => loadModel(out, { backend }),
  });
  await finishExport(job, {
    form: `${hfDTypes[written.dtype]} safetensors${mergedInto(job)}`,
    checks: lines,
    ...(use && { use }),
    saved: `${size(written.bytes)} in ${several(written.files.length, "file")}, ${written.dtype}`,
    document: { base, dtype: written.dtype, files: written.files, bytes: written.bytes, check: kl ?? null, other },
  });
}
