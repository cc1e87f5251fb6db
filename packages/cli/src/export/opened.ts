import { loadTokenizer, type Tokenizer, tokenizerFilesFromGguf } from "@ft/data";
import { type ExportSource, openExportSource } from "@ft/export";
import { readCompanions } from "@ft/models";
import { bitsandbytesFormat } from "@ft/quant-nf4";
import { type Backend, FtError } from "@ft/tensor";
import { openGguf } from "@ft/weights";
import { type Quantization, quantizationDefaults } from "../config/train-config.ts";
import { savedIn } from "../run/open-model.ts";
import { runBeside } from "../run/run-beside.ts";
import { trainedTemplate, withTemplate } from "../run/trained-template.ts";
import { templateFiles } from "./template-files.ts";

/** Which base an adapter is merged into: the weights as stored, or quantised and decoded as they were in its training. */
export type MergeBase = "stored" | "quantized";

/** What is exported, and what its training says of it. */
export interface Opened {
  readonly model: string;
  /** the adapter's own folder, where one is merged */
  readonly adapter: string | undefined;
  /** the chat template that the adapter was trained with, where that is not its base's own */
  readonly template: string | undefined;
  /** The base's, with that template. Loaded once. */
  tokenizer(): Promise<Tokenizer>;
  /** how the base was quantised while the adapter was trained; undefined where it was not, or nothing says so */
  readonly trainedOver: Quantization | undefined;
  /** The weights, adapter merged; over the base as asked for. The caller disposes it. */
  source(base: MergeBase): Promise<ExportSource>;
}

/** Finds what an export is made of: a model, perhaps an adapter or the folder of its run. */
export async function openForExport(
  model: string,
  backend: Backend,
  {
    adapter: given,
    anyBase = false,
  }: { readonly adapter?: string | undefined; readonly anyBase?: boolean | undefined },
): Promise<Opened> {
  const path = await savedIn(model, "model");
  const adapter = given === undefined ? undefined : await savedIn(given, "adapter");
  const trainedOver = adapter === undefined ? undefined : await quantizationOfRun(adapter);
  const template = adapter === undefined ? undefined : await trainedTemplate(adapter);
  const made = path.endsWith(".gguf") ? await tokenizerFiles(path) : undefined;
  const files = template === undefined ? made : templateFiles(made ?? (await readCompanions(path)).files, template);
  let tokenizer: Promise<Tokenizer> | undefined;
  return {
    model: path,
    adapter,
    trainedOver,
    template,
    tokenizer() {
      tokenizer ??= loadTokenizer(path).then((own) => withTemplate(own, template));
      return tokenizer;
    },
    source: (base) => {
      if (base === "quantized" && trainedOver === undefined)
        throw new FtError(
          "config",
          "--base quantized, and nothing says how the base was quantised",
          "merge an adapter that lies in the folder of its run, or use --base stored",
        );
      const through = base === "quantized" && trainedOver ? { through: formatOf(trainedOver) } : {};
      return openExportSource(path, {
        ...{ backend, anyBase, ...through },
        ...(adapter !== undefined && { adapter }),
        ...(files && { files }),
      });
    },
  };
}

export function formatOf(quantization: Quantization): ReturnType<typeof bitsandbytesFormat> {
  const { type, doubleQuant, blockSize } = { ...quantizationDefaults, ...quantization };
  return bitsandbytesFormat({ type, doubleQuant, blockSize });
}

async function tokenizerFiles(path: string): Promise<ReadonlyMap<string, Uint8Array>> {
  await using source = await openGguf(path);
  return tokenizerFilesFromGguf(source.metadata);
}

/** How the run that an adapter lies in quantised its base. */
async function quantizationOfRun(adapter: string): Promise<Quantization | undefined> {
  const run = await runBeside(adapter);
  if (run?.config.method !== "qlora") return undefined;
  return { ...quantizationDefaults, ...Object(run.config.quantization) };
}
