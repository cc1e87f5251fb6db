import { loadRows, type Truncation } from "@ft/data";
import { addLikelihoods, bitsPerByte, type Likelihood, meanNll, perplexityOf } from "@ft/eval";
import { type LoraAdapter, loadAdapter } from "@ft/lora";
import type { Backend, FloatDType } from "@ft/tensor";
import { FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { type OpenModel, openModel, savedIn } from "../run/open-model.ts";
import { resolveModel } from "../run/resolve-model.ts";
import { commonTemplate } from "../run/trained-template.ts";
import { compare, resampling } from "./compare.ts";
import type { Evaluation, Fingerprint, GeneralProbe, Subject } from "./evaluation.ts";
import { checkFingerprint, fileDigest, textDigest, weightsDigest } from "./fingerprint.ts";
import { type Document, loadDocuments } from "./general.ts";
import { type Measured, measureSubject, type Questions } from "./measure-subject.ts";
import type { ChosenMetrics } from "./metrics.ts";
import { subjectNames } from "./subject-name.ts";
import { testRows } from "./test-rows.ts";
import { writeEvaluation, writeScores } from "./write-evaluation.ts";

/** What `ft eval` asks of a model and of adapters over it. */
export interface ModelEvaluation {
  readonly model: string;
  readonly adapters: readonly string[];
  readonly data: string;
  readonly metrics: ChosenMetrics;
  readonly general?: string | undefined;
  readonly out?: string | undefined;
  readonly limit?: number | undefined;
  readonly maxLength?: number | undefined;
  readonly truncation: Truncation;
  readonly batchSize: number;
  readonly maxNewTokens: number;
  readonly chatTemplate?: string | undefined;
  readonly dtype?: FloatDType | undefined;
  readonly backend: Backend;
}

/** Loads the model once, asks it, then each adapter over it, the same questions, and compares. What `out` has already is kept. */
export async function evaluateModel(asked: ModelEvaluation, io: Io, signal: AbortSignal): Promise<Evaluation> {
  const { adapters, data, metrics, out } = asked;
  const conversations = await loadRows(data);
  const { path, exact } = await resolveModel(asked.model, "model", io, signal);
  const open = (): Promise<OpenModel> =>
    openModel(path, { backend: asked.backend, chatTemplate: asked.chatTemplate, dtype: asked.dtype });
  let held = await open();
  try {
    const { tokenizer, model, stopIds } = held;
    const folders = await Promise.all(adapters.map((folder) => savedIn(folder, "adapter")));
    const template = asked.chatTemplate === undefined ? await commonTemplate(tokenizer, folders) : held.template;
    held = await tried(held, folders, open);
    if (asked.chatTemplate === undefined && template.source !== held.template.source)
      io.note("template    the one that the adapters were trained with, for the base as well");
    const context = model.config.maxPositions;
    const { limit, truncation, maxLength = context } = asked;
    if (maxLength > context)
      throw new FtError("config", `--max-length ${maxLength}`, `the model's context is ${context} tokens`);
    const answers = metrics.text.length > 0;
    const wanted = { maxLength, truncation, limit, losses: metrics.perplexity, answers, context };
    const { rows, leftOut } = testRows(conversations, tokenizer, template, wanted);
    const documents =
      asked.general === undefined
        ? undefined
        : await loadDocuments(asked.general, tokenizer, template, { context, limit });
    const { batchSize, maxNewTokens } = asked;
    const questions: Questions = { rows, losses: metrics.perplexity, answers, documents, batchSize, maxNewTokens };

    const names = subjectNames(adapters, ["base"]);
    const subjects: Subject[] = ["base", ...names].map((name, i) => {
      const folder = adapters[i - 1];
      const predictions = out !== undefined && answers ? { predictions: `predictions.${name}.jsonl` } : {};
      return { name, ...(folder !== undefined && { path: folder }), ...predictions };
    });
    const fingerprint: Fingerprint = {
      model: `${exact} ${await weightsDigest(path)}`,
      data: await fileDigest(data),
      "chat template": template.source === tokenizer.chatTemplate ? "the model's" : textDigest(template.source),
      dtype: asked.dtype ?? "f32",
      rows: `${truncation}, ${maxLength} tokens`,
      "max new tokens": `${maxNewTokens}`,
      ...(asked.general !== undefined && { general: await fileDigest(asked.general) }),
      ...Object.fromEntries(
        await Promise.all(names.map(async (name, i) => [`adapter ${name}`, await weightsDigest(folders[i] ?? "")])),
      ),
    };
    const begun: Evaluation = {
      version: 1,
      created: new Date().toISOString(),
      finished: false,
      ...{ fingerprint, subjects, rows: rows.length, leftOut, resampling },
      measures: [],
      worst: { by: "", rows: [] },
      samples: [],
    };
    if (out !== undefined) {
      await checkFingerprint(out, fingerprint);
      await writeEvaluation(out, begun);
    }

    const measured: Measured[] = [];
    for (const [i, { name }] of subjects.entries()) {
      const folder = folders[i - 1];
      const adapter = folder === undefined ? undefined : await loadAdapter(held.model, folder);
      const answering = { model: held.model, tokenizer, stopIds };
      measured.push(await measureSubject(name, answering, questions, out, io, signal));
      if (adapter) held = await without(adapter, held, open);
    }
    const answered = subjects.map(({ name }, i) => ({ name, ...measured[i] }));
    const { rowScores, ...compared } = compare(metrics, rows, answered);
    const general = documents && generalProbe(asked.general ?? "", documents, subjects, measured);
    const evaluation: Evaluation = { ...begun, finished: true, ...compared, ...(general && { general }) };
    if (out !== undefined) {
      for (const [i, subject] of subjects.entries()) await writeScores(out, subject, rowScores(answered[i]!));
      await writeEvaluation(out, evaluation);
    }
    return evaluation;
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    const kept = out === undefined ? "nothing is kept without --out" : `what was computed is in ${out}`;
    throw new FtError("interrupted", `stopped; ${kept}`, "the same command with --out goes on from there");
  } finally {
    held[Symbol.dispose]();
  }
}

/** Puts every adapter over the model once, so that one that does not fit is known before the long work. */
async function tried(held: OpenModel, folders: readonly string[], open: () => Promise<OpenModel>): Promise<OpenModel> {
  let now = held;
  for (const folder of folders) now = await without(await loadAdapter(now.model, folder), now, open);
  return now;
}

/** The model without an adapter: taken off, or loaded anew where it came with biases for the base's own layers. */
async function without(adapter: LoraAdapter, held: OpenModel, open: () => Promise<OpenModel>): Promise<OpenModel> {
  adapter.remove();
  if (adapter.config.bias === "none") return held;
  held[Symbol.dispose]();
  return open();
}

function generalProbe(
  file: string,
  documents: readonly Document[],
  subjects: readonly Subject[],
  measured: readonly Measured[],
): GeneralProbe {
  const bytes = documents.reduce((sum, document) => sum + (document.bytes ?? Number.NaN), 0);
  const totals = measured.map(({ general = [] }) => general.reduce(addLikelihoods, { nll: 0, tokens: 0 }));
  const [base] = totals;
  const scores = subjects.map(({ name }, i) => {
    const total: Likelihood = totals[i] ?? { nll: Number.NaN, tokens: 0 };
    return {
      subject: name,
      loss: meanNll(total),
      perplexity: perplexityOf(total),
      ...(Number.isFinite(bytes) && { bitsPerByte: bitsPerByte(total, bytes) }),
      tokens: total.tokens,
      ...(i > 0 && base && { forgetting: meanNll(total) - meanNll(base) }),
    };
  });
  return { file, documents: documents.length, scores };
}
