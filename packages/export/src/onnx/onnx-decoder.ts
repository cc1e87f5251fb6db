import { argmax } from "@ft/models";
import { FtError } from "@ft/tensor";
import type { LogitSource } from "../check/logit-source.ts";
import type { OnnxRuntime, OrtSession, OrtTensor } from "./onnx-runtime.ts";

/** Rows of token ids, as long as they like: [batch][sequence]. */
type Rows = readonly (readonly number[])[];

/** Logits of the next token, [batch, sequence, vocab], row-major. */
export interface OnnxLogits {
  readonly data: Float32Array;
  readonly dims: readonly [batch: number, sequence: number, vocab: number];
}

/** How a file is opened. */
export interface OpenOnnxOptions {
  /** tokens of a text at most; the file does not say it, config.json beside it does. No bound when absent */
  readonly maxPositions?: number;
  /** of ONNX Runtime: executionProviders, intraOpNumThreads, externalData, … */
  readonly session?: object;
}

/**
 * Opens a decoder that exportOnnx wrote: `openOnnx("folder/onnx/model_q4.onnx", await import("onnxruntime-node"))`. Its data files
 * must lie beside it; in a browser, `model` is its bytes or address and `session.externalData` names them.
 * Errors: "format" where ONNX Runtime cannot load it, or it is no such decoder.
 */
export async function openOnnx(
  model: string | Uint8Array,
  ort: OnnxRuntime,
  options: OpenOnnxOptions = {},
): Promise<OnnxDecoder> {
  const what = typeof model === "string" ? model : `a model of ${model.length} bytes`;
  const session = await ort.InferenceSession.create(model, options.session).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FtError("format", `[onnx] ONNX Runtime cannot load ${what}: ${why}`, "export it again", { cause });
  });
  const vocab = session.outputMetadata.find(({ name }) => name === "logits")?.shape?.[2];
  if (typeof vocab === "number") return new OnnxDecoder(ort, session, vocab, options.maxPositions);
  await session.release();
  throw new FtError(
    "format",
    `[onnx] ${what} has no logits [batch, sequence, vocab]`,
    "give a file that exportOnnx wrote",
  );
}

/** A decoder in ONNX Runtime with its key/value cache, fed as transformers.js feeds it. One conversation, or batch of them, at a time. */
export class OnnxDecoder implements LogitSource, AsyncDisposable {
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly session: OrtSession;
  readonly #ort: OnnxRuntime;
  #cache: Record<string, OrtTensor> = {};
  #mask: number[][] = [];

  /** Use openOnnx. */
  constructor(
    ort: OnnxRuntime,
    session: OrtSession,
    vocabSize: number,
    maxPositions: number = Number.POSITIVE_INFINITY,
  ) {
    this.#ort = ort;
    this.session = session;
    this.vocabSize = vocabSize;
    this.maxPositions = maxPositions;
  }

  /** Logits of rows over an empty cache; shorter rows are padded on the left. Errors: "input", "data" (unknown ids). */
  async start(rows: Rows): Promise<OnnxLogits> {
    const longest = Math.max(...rows.map(({ length }) => length));
    if (rows.length === 0 || rows.some(({ length }) => length === 0))
      throw new FtError("input", "[onnx] a row without tokens", "begin with a token at least");
    this.#checkIds(rows);
    this.#mask = rows.map(({ length }) => Array.from({ length: longest }, (_, i) => (i < longest - length ? 0 : 1)));
    this.#cache = {};
    for (const { name, type, shape = [] } of this.session.inputMetadata) {
      if (!name.startsWith("past_key_values.")) continue;
      const dims = shape.map((size) => (size === "batch_size" ? rows.length : typeof size === "number" ? size : 0));
      this.#cache[name] =
        type === "float16"
          ? new this.#ort.Tensor("float16", new Uint16Array(0), dims)
          : new this.#ort.Tensor("float32", new Float32Array(0), dims);
    }
    return this.#run(rows.map((row) => [...Array<number>(longest - row.length).fill(0), ...row]));
  }

  /** Logits of more tokens of each row, of all rows as many. Errors: "input", "data" (unknown ids). */
  async next(rows: Rows): Promise<OnnxLogits> {
    const length = rows[0]?.length ?? 0;
    if (length === 0 || rows.length !== this.#mask.length || rows.some((row) => row.length !== length))
      throw new FtError(
        "input",
        `[onnx] ${rows.length} rows to go on with ${this.#mask.length}, of ${[...new Set(rows.map((row) => row.length))].join(", ")} tokens`,
        "start() first, then give as many tokens to each of its rows",
      );
    this.#checkIds(rows);
    for (const mask of this.#mask) for (let i = 0; i < length; i++) mask.push(1);
    return this.#run(rows);
  }

  /** The likeliest tokens after each prompt, one at a time over the cache; an answer ends before its first stop id. */
  async greedy(
    prompts: Rows,
    { maxNewTokens, stopIds = [] }: { readonly maxNewTokens: number; readonly stopIds?: readonly number[] },
  ): Promise<number[][]> {
    const answers: number[][] = prompts.map(() => []);
    const ended = new Set<number>();
    let logits: OnnxLogits | undefined;
    let ids: number[] = [];
    for (let i = 0; i < maxNewTokens && ended.size < prompts.length; i++) {
      logits = logits === undefined ? await this.start(prompts) : await this.next(ids.map((id) => [id]));
      ids = lastRows(logits).map((row) => argmax(row));
      for (const [r, id] of ids.entries()) {
        if (stopIds.includes(id)) ended.add(r);
        if (!ended.has(r)) answers[r]?.push(id);
      }
    }
    return answers;
  }

  /** Logits of one text over an empty cache, `rows` places at a time. */
  async *logitRows(ids: readonly number[], rows: number): AsyncGenerator<Float32Array, void, void> {
    for (let at = 0; at < ids.length; at += rows) {
      const piece = [ids.slice(at, at + rows)];
      yield (at === 0 ? await this.start(piece) : await this.next(piece)).data;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.release();
  }

  #checkIds(rows: Rows): void {
    const unknown = rows.flat().find((id) => !(Number.isInteger(id) && id >= 0 && id < this.vocabSize));
    if (unknown === undefined) return;
    throw new FtError(
      "data",
      `[onnx] the token id ${unknown}, and the model knows ${this.vocabSize} tokens`,
      "use the tokenizer that belongs to the model",
    );
  }

  async #run(rows: Rows): Promise<OnnxLogits> {
    const [batch, seq, total] = [rows.length, rows[0]?.length ?? 0, this.#mask[0]?.length ?? 0];
    const whole = (values: readonly number[], dims: readonly number[]): OrtTensor =>
      new this.#ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
    const positions = this.#mask.flatMap((row) => {
      let seen = 0;
      return row.map((real) => (real === 0 ? 1 : seen++)).slice(-seq);
    });
    const out = await this.session.run({
      input_ids: whole(rows.flat(), [batch, seq]),
      attention_mask: whole(this.#mask.flat(), [batch, total]),
      position_ids: whole(positions, [batch, seq]),
      ...this.#cache,
    });
    for (const name of Object.keys(this.#cache))
      this.#cache[name] = named(out, name.replace("past_key_values", "present"));
    const { data } = named(out, "logits");
    if (data instanceof Float32Array) return { data, dims: [batch, seq, this.vocabSize] };
    throw new FtError("format", "[onnx] the logits are not float32", "give a file that exportOnnx wrote");
  }
}

/** The logits of the last place of each row. */
function lastRows({ data, dims: [batch, seq, vocab] }: OnnxLogits): Float32Array[] {
  return Array.from({ length: batch }, (_, r) => data.subarray(((r + 1) * seq - 1) * vocab, (r + 1) * seq * vocab));
}

function named(values: Readonly<Record<string, OrtTensor>>, name: string): OrtTensor {
  const found = values[name];
  if (found) return found;
  throw new FtError("format", `[onnx] the model has no output "${name}"`, "give a file that exportOnnx wrote");
}
