import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { tokenizerFilesFromGguf } from "@ft/data";
import { generate, type LlamaConfig, loadModel } from "@ft/models";
import { type Backend, sizeOf } from "@ft/tensor";
import { nf4Values } from "@ft/tensor/ops";
import { expectClose, smollm2Path } from "@ft/testing";
import { openGguf, openSafetensors } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rowKl } from "../src/check/logit-kl.ts";
import {
  type ExportSource,
  exportOnnx,
  type OnnxDecoder,
  type OnnxRuntime,
  type OnnxType,
  onnxFile,
  onnxTypes,
  openExportSource,
  openOnnx,
} from "../src/index.ts";
import { hasConsumer, loadConsumer } from "./consumers.ts";
import { memorySource } from "./memory-source.ts";
import { type ExternalTensor, externalTensors } from "./onnx-file.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const golden = (name: string): string => join(root, "tools/goldens/data", name);
const quickstart = join(root, "examples/quickstart/model");
const tiny = ["gqa", "mha-tied", "llama3-rope", "linear-rope", "bias"].map((name) => golden(`llama-${name}`));
const smollm2 = smollm2Path();

let backend: Backend;
let dir: string;
const folders = new Map<string, Promise<string>>();
beforeAll(async () => {
  backend = await createCpuBackend();
  dir = await mkdtemp(join(tmpdir(), "ft-onnx-"));
});
afterAll(async () => {
  backend.dispose?.();
  await rm(dir, { recursive: true, force: true });
});

async function open(model: string): Promise<ExportSource> {
  if (!model.endsWith(".gguf")) return openExportSource(model, { backend });
  await using file = await openGguf(model);
  return openExportSource(model, { backend, files: tokenizerFilesFromGguf(file.metadata) });
}

async function configOf(model: string): Promise<LlamaConfig> {
  await using source = await open(model);
  return source.config;
}

/** A model in all types, exported once. */
function exported(model: string): Promise<string> {
  const known = folders.get(model);
  if (known) return known;
  const made = (async () => {
    await using source = await open(model);
    const folder = join(dir, basename(model, ".gguf"));
    await exportOnnx(source, folder, { types: onnxTypes, backend });
    return folder;
  })();
  folders.set(model, made);
  return made;
}

const fileOf = (folder: string, type: OnnxType): string => join(folder, "onnx", onnxFile(type));

async function openNative(path: string): Promise<OnnxDecoder> {
  const loaded = await loadConsumer<OnnxRuntime & { readonly default?: OnnxRuntime }>("onnxruntime-node");
  return openOnnx(path, loaded.default ?? loaded, { session: { executionProviders: ["cpu"] } });
}

/** The same in the WebAssembly of browsers, with bytes in place of paths. */
async function openWeb(path: string): Promise<OnnxDecoder> {
  const externalData = [{ path: `${basename(path)}_data`, data: await readFile(`${path}_data`) }];
  const session = { executionProviders: ["wasm"], externalData };
  return openOnnx(await readFile(path), await loadConsumer<OnnxRuntime>("onnxruntime-web"), { session });
}

async function withSession<T>(path: string, use: (session: OnnxDecoder) => Promise<T>): Promise<T> {
  await using session = await openNative(path);
  return await use(session);
}

/** Logits [seq, vocab] of one row, all at once. */
async function logitsOf(path: string, row: readonly number[]): Promise<Float32Array> {
  return withSession(path, async (session) => (await session.start([row])).data);
}

async function ours(model: string, prompt: readonly number[], count: number): Promise<number[]> {
  using loaded = await loadModel(model, { backend });
  const ids: number[] = [];
  for await (const id of generate(loaded, prompt, { maxNewTokens: count, stopIds: [] })) ids.push(id);
  return ids;
}

/** Mean divergence of q from p in nats, over rows of `vocab` logits. */
function meanKl(p: Float32Array, q: Float32Array, vocab: number): { readonly kl: number; readonly same: number } {
  let [kl, same, rows] = [0, 0, 0];
  for (let at = 0; at < p.length; at += vocab) {
    const row = rowKl(p.subarray(at, at + vocab), q.subarray(at, at + vocab));
    kl += row.kl;
    if (row.same) same++;
    rows++;
  }
  return { kl: kl / rows, same: same / rows };
}

/** A chat of SmolLM2's with its answer, as token ids, and how many of them are the question. */
async function conversations(): Promise<{ readonly prompt: number[]; readonly all: number[] }[]> {
  const { greedy } = JSON.parse(await readFile(join(golden("smollm2"), "golden.json"), "utf8"));
  return greedy.map(({ promptIds, ids }: { promptIds: number[]; ids: number[] }) => ({
    prompt: promptIds,
    all: [...promptIds, ...ids],
  }));
}

/** The weights that a file's tensors stand for, [out, in] in f32, by the documentation of their operators. */
function dequantised(source: ExportSource, tensors: ReadonlyMap<string, ExternalTensor>): ExportSource {
  const weights = new Map(
    [...source.tensors].map(([name, { shape }]) => {
      const size = sizeOf(shape);
      const [out, inner] = [shape[0]!, shape[1] ?? 1];
      const plain = tensors.get(name);
      const scale = tensors.get(`${name}.scale`)?.floats();
      const q4 = tensors.get(`${name}.q4`)?.bytes();
      const int8 = tensors.get(`${name}.int8`)?.bytes();
      const nf4 = tensors.get(`${name}.nf4`)?.bytes();
      const absmax = tensors.get(`${name}.absmax`)?.floats();
      const width = Math.ceil(inner / 32) * 32;
      const values = Float32Array.from({ length: size }, (_, i) => {
        const [row, column] = [Math.floor(i / inner), i % inner];
        if (q4 && scale) {
          const at = row * width + column;
          const byte = q4[at >> 1]!;
          return ((at & 1 ? byte >> 4 : byte & 15) - 8) * scale[at >> 5]!;
        }
        if (int8 && scale) return ((int8[column * out + row]! << 24) >> 24) * scale[row]!;
        if (nf4 && absmax) return nf4Values[i & 1 ? nf4[i >> 1]! & 15 : nf4[i >> 1]! >> 4]! * absmax[i >> 6]!;
        return plain!.floats()[i]!;
      });
      return [name, { shape, values }];
    }),
  );
  return memorySource(weights, { ...source.hfConfig, tie_word_embeddings: source.config.tieWordEmbeddings });
}

describe.skipIf(!hasConsumer("onnxruntime-node"))("ONNX files in onnxruntime (skips without tools/consumers)", () => {
  it.each([...tiny, quickstart])("%s goes on greedily for 64 tokens as generate() does", async (model) => {
    const config = await configOf(model);
    const prompt = [5, 17, 80, 33, 2];
    const count = Math.min(64, config.maxPositions - prompt.length);
    expect(count).toBeGreaterThan(40);
    const [got] = await withSession(fileOf(await exported(model), "fp32"), (s) =>
      s.greedy([prompt], { maxNewTokens: count }),
    );
    expect(got).toEqual(await ours(model, prompt, count));
  });

  it.each(tiny)("%s has the logits of transformers", async (model) => {
    const { padded } = JSON.parse(await readFile(join(model, "golden.json"), "utf8"));
    await using file = await openSafetensors(join(model, "golden.safetensors"));
    const want = await file.read("logits", "f32");
    const rows = Array.from({ length: padded.batch }, (_, r): number[] => {
      const at = r * padded.seq;
      const length = padded.segments.slice(at, at + padded.seq).filter((id: number) => id !== 0).length;
      return padded.tokens.slice(at, at + length);
    });
    const got: number[] = [];
    for (const row of rows) got.push(...(await logitsOf(fileOf(await exported(model), "fp32"), row)));
    expect(got).toHaveLength(want.length);
    expectClose(got, want, { relative: 1e-5, reason: "float32 sums in another order" }, "logits");
  });

  it("has sizes and names as transformers.js asks for them", async () => {
    const config = await configOf(quickstart);
    for (const [type, cached] of [
      ["fp32", "float32"],
      ["fp16", "float16"],
      ["q4f16", "float16"],
    ] as const)
      await withSession(fileOf(await exported(quickstart), type), async ({ session: { inputMetadata: inputs } }) => {
        expect(inputs.slice(0, 3).map(({ name, type: dtype, shape }) => [name, dtype, shape])).toEqual([
          ["input_ids", "int64", ["batch_size", "sequence_length"]],
          ["attention_mask", "int64", ["batch_size", "total_sequence_length"]],
          ["position_ids", "int64", ["batch_size", "sequence_length"]],
        ]);
        const shape = ["batch_size", config.kvHeads, "past_sequence_length", config.headDim];
        const caches = Array.from({ length: config.layers }, (_, i) =>
          ["key", "value"].map((kind) => [`past_key_values.${i}.${kind}`, cached, shape]),
        ).flat();
        expect(inputs.slice(3).map((input) => [input.name, input.type, input.shape])).toEqual(caches);
      });
  });

  it.each(["q4", "bnb4", "int8"] as const)("%s multiplies by the weights that its file holds", async (type) => {
    // neither 144 nor 384 inputs are whole rows of blocks of 64; 144 not of 32
    await using source = await open(quickstart);
    const path = fileOf(await exported(quickstart), type);
    const dense = dequantised(source, await externalTensors(path));
    // an embedding in f16 holds bf16 weights of this size as they are, so that only the tied head is another table
    const untied = await untieHead(source, dense, type);
    await exportOnnx(untied, join(dir, `dense-${type}`));
    const prompt = Array.from({ length: 40 }, (_, i) => (i * 211 + 5) % 1536);
    const want = await logitsOf(join(dir, `dense-${type}/onnx/model.onnx`), prompt);
    const got = await logitsOf(path, prompt);
    if (type === "int8")
      expect(meanKl(want, got, 1536).kl).toBeLessThan(2e-3); // activations are rounded
    else expectClose(got, want, { relative: 1e-5, reason: "float32 sums in another order" }, "logits");
  });

  it.each(onnxTypes)("%s: rows padded on the left are as they are alone", async (type) => {
    const rows = [
      [5, 17, 80, 33, 2, 900, 45, 77, 1200, 300, 8],
      [61, 9, 402, 33],
    ];
    await withSession(fileOf(await exported(quickstart), type), async (session) => {
      const together = await session.start(rows);
      const [, seq, vocab] = together.dims;
      for (const [r, row] of rows.entries()) {
        const alone = (await session.start([row])).data;
        const last = together.data.subarray(((r + 1) * seq! - row.length) * vocab!, (r + 1) * seq! * vocab!);
        const relative = type === "fp16" || type === "q4f16" ? 2e-3 : 1e-5;
        expectClose(last, alone, { relative, reason: "sums in another order, in f16 or f32" }, `row ${r}`);
      }
      const many = { maxNewTokens: 24 };
      const answers = await session.greedy(rows, many);
      const alone = [...(await session.greedy([rows[0]!], many)), ...(await session.greedy([rows[1]!], many))];
      expect(answers).toEqual(alone);
    });
  });

  const web = it.runIf(hasConsumer("onnxruntime-web"));
  web.each(onnxTypes)("%s runs in the WebAssembly of browsers", async (type) => {
    const path = fileOf(await exported(quickstart), type);
    const prompt = [5, 17, 80, 33, 2, 900, 45];
    await using session = await openWeb(path);
    const got = (await session.start([prompt])).data;
    const want = await logitsOf(path, prompt);
    // a number at the edge of two codes of 8 bits falls to either side of it; f16 is f32 there
    const relative = { fp32: 1e-5, q4: 1e-5, bnb4: 1e-5, fp16: 2e-3, q4f16: 2e-3, int8: 1e-2, q8: 1e-2 }[type];
    expectClose(got, want, { relative, reason: "kernels of another processor" }, "logits");
  });

  it("reads weights that are spread over many data files", async () => {
    await using source = await open(quickstart);
    const { files } = await exportOnnx(source, join(dir, "shards"), { dataFileSize: 500_000 });
    expect(files.length).toBeGreaterThan(8);
    const prompt = [5, 17, 80, 33, 2];
    const got = await logitsOf(join(dir, "shards/onnx/model.onnx"), prompt);
    expect(got).toEqual(await logitsOf(fileOf(await exported(quickstart), "fp32"), prompt));
    // it fetches as many as the config says, and fails where one is missing
    if (hasConsumer("@huggingface/transformers")) await (await loadPipeline("shards")).dispose();
  });

  describe.skipIf(!existsSync(smollm2))("SmolLM2-135M (skips without its GGUF)", () => {
    it("goes on greedily for 64 tokens as generate() does", async () => {
      const path = fileOf(await exported(smollm2), "fp32");
      for (const { prompt } of await conversations()) {
        const [got] = await withSession(path, (session) => session.greedy([prompt], { maxNewTokens: 64 }));
        expect(got).toEqual(await ours(smollm2, prompt, 64));
      }
    });

    // nats a token within answers; measured 2e-6, 0.022, 0.216, 0.216, 0.326
    it.each([
      ["fp16", 1e-5],
      ["int8", 0.04],
      ["q4", 0.3],
      ["q4f16", 0.3],
      ["bnb4", 0.5],
    ] as const)("%s is as near to fp32 as its bits allow", async (type, bound) => {
      const folder = await exported(smollm2);
      const vocab = 49_152;
      const found: { readonly kl: number; readonly same: number; readonly all: number }[] = [];
      for (const { prompt, all } of await conversations()) {
        const want = await logitsOf(fileOf(folder, "fp32"), all);
        const got = await logitsOf(fileOf(folder, type), all);
        const from = (prompt.length - 1) * vocab;
        const answer = meanKl(want.subarray(from), got.subarray(from), vocab);
        found.push({ ...answer, all: meanKl(want, got, vocab).kl });
      }
      const mean = (of: "kl" | "same" | "all") => found.reduce((sum, each) => sum + each[of], 0) / found.length;
      console.log(
        `SmolLM2 as ${type}: KL to fp32 within answers ${mean("kl").toExponential(2)}, questions included`,
        `${mean("all").toExponential(2)}; likeliest token the same in ${(100 * mean("same")).toFixed(1)} %`,
      );
      expect(mean("kl")).toBeLessThan(bound);
    });
  });
});

/** The dense model with a head of its own: that of the file, while the embedding is the source's. */
async function untieHead(source: ExportSource, dense: ExportSource, type: OnnxType): Promise<ExportSource> {
  const embedding = "model.embed_tokens.weight";
  const read = async (from: ExportSource, name: string) => {
    const { shape } = from.tensors.get(name)!;
    return { shape, values: await from.readWindow(name, 0, sizeOf(shape)) };
  };
  const weights = new Map<string, { readonly shape: readonly number[]; readonly values: Float32Array }>();
  for (const name of dense.tensors.keys()) weights.set(name, await read(dense, name));
  weights.set("lm_head.weight", await read(dense, embedding));
  if (type !== "int8") weights.set(embedding, await read(source, embedding));
  return memorySource(weights, { ...source.hfConfig, tie_word_embeddings: false });
}

interface Message {
  readonly role: string;
  readonly content: string;
}
interface TextGeneration {
  (text: string, options: object): Promise<{ generated_text: string }[]>;
  (texts: readonly string[], options: object): Promise<{ generated_text: string }[][]>;
  (chat: readonly Message[], options: object): Promise<{ generated_text: Message[] }[]>;
  readonly tokenizer: { encode(text: string): number[]; decode(ids: readonly number[], options: object): string };
  dispose(): Promise<void>;
}
interface TransformersJs {
  readonly env: { localModelPath: string; allowRemoteModels: boolean };
  readonly pipeline: (task: "text-generation", model: string, options: object) => Promise<TextGeneration>;
}

/** A folder of `dir` in transformers.js, with nothing but what is in it. */
async function loadPipeline(folder: string, dtype?: OnnxType): Promise<TextGeneration> {
  const { env, pipeline } = await loadConsumer<TransformersJs>("@huggingface/transformers");
  Object.assign(env, { localModelPath: dir, allowRemoteModels: false });
  return pipeline("text-generation", folder, { ...(dtype && { dtype }), device: "cpu" });
}

describe.skipIf(!hasConsumer("@huggingface/transformers"))(
  "ONNX folders in transformers.js (skips without tools/consumers)",
  () => {
    const load = async (model: string, dtype?: OnnxType) => loadPipeline(basename(await exported(model)), dtype);

    it("loads what the config names, and writes the text of generate()'s 64 tokens", async () => {
      const pipe = await load(quickstart);
      const text = "The cat";
      const prompt = pipe.tokenizer.encode(text);
      const answer = await ours(quickstart, prompt, 64);
      const options = { max_new_tokens: 64, min_new_tokens: 64, do_sample: false, return_full_text: false };
      // no end before 64 tokens: ours has no stop ids either
      const [got] = await pipe(text, { ...options, eos_token_id: -1 });
      expect(got).toEqual({ generated_text: pipe.tokenizer.decode(answer, { skip_special_tokens: true }) });
      await pipe.dispose();
    });

    it.each(onnxTypes)("loads %s, alone and in batches", async (type) => {
      const pipe = await load(quickstart, type);
      const texts = ["The cat", "Once there was a"];
      // nothing ends early: in a batch, transformers.js goes on with a row that has ended until all have
      const options = { max_new_tokens: 24, do_sample: false, eos_token_id: -1 };
      const together = await pipe(texts, options); // padded on the left
      const alone = [await pipe(texts[0]!, options), await pipe(texts[1]!, options)];
      expect(together).toEqual(alone);
      await pipe.dispose();
    });

    it.skipIf(!existsSync(smollm2))("answers with SmolLM2 as generate() does (skips without its GGUF)", async () => {
      const pipe = await load(smollm2, "fp32");
      const { greedy } = JSON.parse(await readFile(join(golden("smollm2"), "golden.json"), "utf8"));
      for (const { prompt: content, promptIds } of greedy) {
        const want = await ours(smollm2, promptIds, 64);
        const end = want.findIndex((id) => [0, 2].includes(id)); // <|endoftext|>, <|im_end|>
        const text = pipe.tokenizer.decode(end < 0 ? want : want.slice(0, end), { skip_special_tokens: true });
        const [got] = await pipe([{ role: "user", content }], { max_new_tokens: 64, do_sample: false });
        expect(got?.generated_text.at(-1)).toEqual({ role: "assistant", content: text });
      }
      await pipe.dispose();
    });
  },
);
