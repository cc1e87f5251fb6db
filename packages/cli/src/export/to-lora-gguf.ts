import { basename, join } from "node:path";
import { exportLoraGguf } from "@ft/export";
import { FtError } from "@ft/tensor";
import { commitFolder, writeFileAtomic } from "@ft/weights";
import { bytes as size } from "../run/download.ts";
import { finishExport } from "./finish.ts";
import { ggufName, ggufOrigin } from "./gguf-name.ts";
import type { ExportJob } from "./job.ts";
import { ollamaFile, usedByOllama } from "./ollama-file.ts";
import { quoted } from "./shell.ts";

export const loraGgufTypes = ["F32", "F16", "BF16"] as const;

/** The adapter by itself as one .gguf file, which llama.cpp and Ollama put over a .gguf file of the base. */
export async function toLoraGguf(job: ExportJob): Promise<void> {
  const { opened, flags } = job;
  const { out } = flags;
  const { adapter, model, template } = opened;
  if (adapter === undefined)
    throw new FtError("config", "--to lora-gguf without an adapter", "name it with --adapter FOLDER");
  const type = loraGgufTypes.find((each) => each === job.type) ?? "F32";
  const name = ggufName(job);
  const file = `${name}-lora-${type}.gguf`;
  const named = model.endsWith(".gguf");
  const base = named ? basename(model) : `${name.replace(/-tuned$/, "")}-F16.gguf`;
  const its = named ? "the base" : "the base as `ft export --to gguf` writes it";
  // an adapter of another base is refused as it is when it is merged
  await using source = await opened.source("stored");
  const tokenizer = await opened.tokenizer();
  const ollama = ollamaFile(tokenizer, source.config, { from: `./${base}`, adapter: `./${file}` });
  const baseAt = (folder: string): string => (folder !== out ? base : named ? model : join("base", base));
  let written = { bytes: 0, layers: 0, alpha: 0 };
  await commitFolder(out, async (temporary) => {
    const options = { ...ggufOrigin(name, job), type };
    written = await exportLoraGguf(adapter, source.config, join(temporary, file), options);
    await writeFileAtomic(join(temporary, "Modelfile"), ollama.text);
    // an adapter's file has no place for it, and its base has another one
    if (template !== undefined) await writeFileAtomic(join(temporary, "chat_template.jinja"), template);
  });
  const { bytes, layers, alpha } = written;
  await finishExport(job, {
    form: `LoRA adapter as GGUF, ${type}, to be put over a .gguf file of its base`,
    checks: [`${layers} layers, of the sizes that the base has`],
    loader: "gguf",
    use: (folder) => [
      {
        text: `In llama.cpp, over ${base}, ${its}:`,
        command: [
          ...(folder === out && !named ? [`ft export --to gguf --model ${quoted(model)} --out base &&`] : []),
          `llama-cli -m ${quoted(baseAt(folder))} --lora ${quoted(join(folder, file))}`,
          ...(template === undefined
            ? []
            : [`--jinja --chat-template-file ${quoted(join(folder, "chat_template.jinja"))}`]),
        ].join(" "),
      },
      { ...usedByOllama(name, folder), text: `In Ollama, with ${base} beside the Modelfile:` },
    ],
    saved: `${file}, ${size(bytes)}, ${layers} layers`,
    document: { file, type, layers, alpha, bytes },
  });
}
