import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { argmax } from "@ft/models";
import { loadConsumer } from "./consumers.ts";

/** As much of onnxruntime's tensors and sessions as is used here. */
export interface OrtTensor {
  readonly type: string;
  readonly data: Float32Array | Uint16Array | BigInt64Array;
  readonly dims: readonly number[];
}
interface Session {
  readonly inputNames: readonly string[];
  readonly inputMetadata: readonly {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly (number | string)[];
  }[];
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
interface Ort {
  readonly Tensor: new (type: string, data: OrtTensor["data"], dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: { create(model: string | Uint8Array, options: object): Promise<Session> };
}

/** A decoder in onnxruntime, fed as transformers.js feeds it. */
export class OnnxDecoder {
  readonly #ort: Ort;
  readonly #session: Session;
  #cache: Record<string, OrtTensor> = {};
  #mask: number[][] = [];

  private constructor(ort: Ort, session: Session) {
    this.#ort = ort;
    this.#session = session;
  }

  static async open(path: string): Promise<OnnxDecoder> {
    const loaded = await loadConsumer<Ort & { readonly default?: Ort }>("onnxruntime-node");
    const ort = loaded.default ?? loaded;
    return new OnnxDecoder(ort, await ort.InferenceSession.create(path, { executionProviders: ["cpu"] }));
  }

  /** The same in the WebAssembly of browsers, with bytes in place of paths. */
  static async openWeb(path: string): Promise<OnnxDecoder> {
    const ort = await loadConsumer<Ort>("onnxruntime-web");
    const name = basename(path);
    const externalData = [{ path: `${name}_data`, data: await readFile(`${path}_data`) }];
    const options = { executionProviders: ["wasm"], externalData };
    return new OnnxDecoder(ort, await ort.InferenceSession.create(await readFile(path), options));
  }

  get inputs(): Session["inputMetadata"] {
    return this.#session.inputMetadata;
  }

  /** Logits [batch, seq, vocab] of rows padded on the left to one length, over an empty cache. */
  async start(rows: readonly (readonly number[])[]): Promise<OrtTensor> {
    const longest = Math.max(...rows.map(({ length }) => length));
    const batch = rows.length;
    this.#mask = rows.map(({ length }) => Array.from({ length: longest }, (_, i) => (i < longest - length ? 0 : 1)));
    this.#cache = {};
    for (const { name, type, shape } of this.#session.inputMetadata)
      if (name.startsWith("past_key_values.")) {
        const data = type === "float16" ? new Uint16Array(0) : new Float32Array(0);
        const dims = shape.map((d) => (d === "batch_size" ? batch : typeof d === "number" ? d : 0));
        this.#cache[name] = new this.#ort.Tensor(type, data, dims);
      }
    return this.#run(rows.map((row) => [...Array<number>(longest - row.length).fill(0), ...row]));
  }

  /** Logits [batch, seq, vocab] of more tokens of each row. */
  async next(rows: readonly (readonly number[])[]): Promise<OrtTensor> {
    for (const [r, row] of rows.entries()) this.#mask[r]!.push(...row.map(() => 1));
    return this.#run(rows);
  }

  /** The likeliest tokens after each prompt, one at a time over the cache. */
  async greedy(prompts: readonly (readonly number[])[], count: number): Promise<number[][]> {
    const answers: number[][] = prompts.map(() => []);
    let logits = await this.start(prompts);
    for (let i = 0; i < count; i++) {
      const ids = lastRows(logits).map((row) => argmax(row));
      for (const [r, id] of ids.entries()) answers[r]!.push(id);
      if (i + 1 < count) logits = await this.next(ids.map((id) => [id]));
    }
    return answers;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  async #run(rows: readonly (readonly number[])[]): Promise<OrtTensor> {
    const [batch, seq, total] = [rows.length, rows[0]!.length, this.#mask[0]!.length];
    const whole = (values: readonly number[], dims: readonly number[]): OrtTensor =>
      new this.#ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
    const positions = this.#mask.flatMap((row) => {
      let seen = 0;
      return row.map((real) => (real === 0 ? 1 : seen++)).slice(-seq);
    });
    const out = await this.#session.run({
      input_ids: whole(rows.flat(), [batch, seq]),
      attention_mask: whole(this.#mask.flat(), [batch, total]),
      position_ids: whole(positions, [batch, seq]),
      ...this.#cache,
    });
    for (const name of Object.keys(this.#cache)) this.#cache[name] = out[name.replace("past_key_values", "present")]!;
    return out.logits!;
  }
}

/** The last position's logits of each row. */
export function lastRows({ data, dims }: OrtTensor): Float32Array[] {
  const [batch, seq, vocab] = dims;
  if (!(data instanceof Float32Array)) throw new TypeError("logits are float32");
  return Array.from({ length: batch! }, (_, r) =>
    data.subarray(((r + 1) * seq! - 1) * vocab!, (r + 1) * seq! * vocab!),
  );
}
