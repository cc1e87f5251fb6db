import { loadConsumer } from "./consumers.ts";

/** As much of node-llama-cpp as is used here. */
interface Sequence {
  controlledEvaluate(
    input: readonly [token: number, options: object][],
  ): Promise<readonly (undefined | { readonly next: { readonly logits?: ReadonlyMap<number, number> } })[]>;
}
interface Context extends AsyncDisposable {
  getSequence(): Sequence;
}
interface Model extends AsyncDisposable {
  readonly tokens: {
    readonly bos: number | null;
    readonly eos: number | null;
    readonly shouldPrependBosToken: boolean;
  };
  readonly fileInfo: { readonly metadata: object };
  tokenize(text: string, specialTokens: boolean, options: "trimLeadingSpace" | undefined): number[];
  isEogToken(token: number): boolean;
  createContext(options: object): Promise<Context>;
}
interface Module {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<Model> }>;
}

const whole = { generateNext: { logits: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } } };

/** A .gguf file in llama.cpp, on the processor. */
export class LlamaCpp implements AsyncDisposable {
  readonly #model: Model;

  private constructor(model: Model) {
    this.#model = model;
  }

  static async open(modelPath: string): Promise<LlamaCpp> {
    const { getLlama } = await loadConsumer<Module>("node-llama-cpp");
    // each file its own instance: threads and logs of one do not outlive it in another
    const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });
    return new LlamaCpp(await llama.loadModel({ modelPath, useMmap: false }));
  }

  get tokens(): Model["tokens"] {
    return this.#model.tokens;
  }
  get metadata(): object {
    return this.#model.fileInfo.metadata;
  }
  isEnd(token: number): boolean {
    return this.#model.isEogToken(token);
  }
  /** Ids without BOS; special tokens written in the text become their ids. */
  tokenize(text: string): number[] {
    return [...this.#model.tokenize(text, true, undefined)];
  }

  /** Logits [prompt, vocab] of the next token after every token of a prompt, the cache in f32. */
  async logits(prompt: readonly number[], vocab: number, adapter?: string): Promise<Float32Array> {
    await using context = await this.#model.createContext({
      ...{ contextSize: Math.max(256, prompt.length + 8), batchSize: 512, threads: 2, flashAttention: false },
      ...{ experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32" },
      ...(adapter !== undefined && { lora: { adapters: [{ filePath: adapter, scale: 1 }] } }),
    });
    const results = await context.getSequence().controlledEvaluate(prompt.map((token) => [token, whole]));
    const all = new Float32Array(prompt.length * vocab).fill(Number.NaN);
    for (const [row, result] of results.entries())
      for (const [token, logit] of result?.next.logits ?? []) all[row * vocab + token] = logit;
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const dispose: unknown = Reflect.get(this.#model, "dispose");
    if (typeof dispose === "function") await dispose.call(this.#model);
  }
}
