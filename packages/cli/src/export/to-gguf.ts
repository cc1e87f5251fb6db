import { join } from "node:path";
import { loadTokenizer } from "@ft/data";
import { type ExportedGguf, exportGguf, isGgufFileType } from "@ft/export";
import { loadModel } from "@ft/models";
import { commitFolder, writeFileAtomic } from "@ft/weights";
import { bytes as size } from "../run/download.ts";
import { checkExport } from "./check-export.ts";
import { finishExport } from "./finish.ts";
import { ggufName, ggufOrigin } from "./gguf-name.ts";
import type { ExportJob } from "./job.ts";
import { ollamaFile, usedByOllama } from "./ollama-file.ts";
import { quoted } from "./shell.ts";

/** A model as one .gguf file for llama.cpp, in a folder with Ollama's Modelfile and a card. */
export async function toGguf(job: ExportJob): Promise<void> {
  const { opened, flags, backend, io, signal } = job;
  const { out, base, threads } = flags;
  const type = isGgufFileType(job.type) ? job.type : "F16";
  const name = ggufName(job);
  const file = `${name}-${type}.gguf`;
  await using source = await opened.source(base);
  const tokenizer = await opened.tokenizer();
  const ollama = ollamaFile(tokenizer, source.config, { from: `./${file}` });
  let written: ExportedGguf = { bytes: 0, bitsPerWeight: 0, tensors: [], droppedEndIds: [] };
  await commitFolder(out, async (temporary) => {
    written = await exportGguf(source, join(temporary, file), {
      ...{ ...ggufOrigin(name, job), type, signal },
      ...(threads !== undefined && { threads }),
    });
    await writeFileAtomic(join(temporary, "Modelfile"), ollama.text);
  });
  const { bytes, bitsPerWeight, tensors, droppedEndIds } = written;
  const at = join(out, file);
  const { lines, kl } = await checkExport(job, source, {
    tokenizer: () => loadTokenizer(at),
    model: () => loadModel(at, { backend }),
  });
  if (!ollama.hasTemplate && tokenizer.chatTemplate !== undefined)
    io.note("Modelfile   without TEMPLATE: the model's chat template has no counterpart known in Ollama's language");
  const dropped =
    droppedEndIds.length === 0
      ? []
      : [`answers also end at the ids ${droppedEndIds.join(", ")}, for which a .gguf file has no place`];
  const bits = `${bitsPerWeight.toFixed(2)} bits a weight`;
  await finishExport(job, {
    form: `GGUF, ${type}, ${bits}`,
    loader: "gguf",
    checks: [`tensors: ${typeCounts(tensors)}`, ...dropped, ...lines],
    use: (folder) => [
      { text: "In llama.cpp:", command: `llama-cli -m ${quoted(join(folder, file))}` },
      usedByOllama(name, folder),
    ],
    saved: `${file}, ${size(bytes)}, ${bits}`,
    document: { file, type, base, bytes, bitsPerWeight, hasOllamaTemplate: ollama.hasTemplate, check: kl ?? null },
  });
}

/** "30 F32, 210 Q4_K": rows that are no whole blocks of the type asked for are in another. */
function typeCounts(tensors: ExportedGguf["tensors"]): string {
  const counts = new Map<string, number>();
  for (const { type } of tensors) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([type, count]) => `${count} ${type}`)
    .join(", ");
}
