import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { configFromHf, parameterShapes } from "@ft/models";
import { philoxNormal, sizeOf } from "@ft/tensor";
import { writeSafetensors } from "@ft/weights";

/** A vocabulary of single bytes and four markers, in the format of Hugging Face's tokenizers. */
function byteTokenizer(): object {
  const markers = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"];
  const printable = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const vocab = Object.fromEntries([...markers, "Ġ", "Ċ", ...printable].map((token, id) => [token, id]));
  const added = markers.map((content, id) => ({
    id,
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  }));
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: bytes,
    post_processor: null,
    decoder: bytes,
    model: { type: "BPE", vocab, merges: [], unk_token: null, byte_fallback: false },
  };
}

const template =
  "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** A whole model folder with random weights: two layers, 32 wide, 100 tokens. */
export async function tinyModel(folder: string, changes: object = {}): Promise<string> {
  const json = {
    model_type: "llama",
    vocab_size: 100,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 256,
    tie_word_embeddings: true,
    eos_token_id: 3,
    ...changes,
  };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(json));
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(byteTokenizer()));
  await writeFile(
    join(folder, "tokenizer_config.json"),
    JSON.stringify({ eos_token: "<|end|>", pad_token: "<|pad|>", chat_template: template }),
  );
  const shapes = [...parameterShapes(configFromHf({ ...json, model_type: "llama" }, "config.json"))];
  const entries = shapes.map(([name, shape], stream) => ({
    name,
    dtype: "f32" as const,
    shape,
    data() {
      const normal = philoxNormal(5, stream, 0);
      const center = shape.length === 1 ? 1 : 0;
      return Float32Array.from({ length: sizeOf(shape) }, (_, i) => center + 0.1 * normal(i));
    },
  }));
  await writeSafetensors(join(folder, "model.safetensors"), entries);
  return folder;
}

/** Alpaca rows with short answers of different lengths. */
export async function someRows(file: string, count = 40): Promise<string> {
  const rows = Array.from({ length: count }, (_, i) => ({
    instruction: `Say ${i}.`,
    input: "",
    output: "ab".repeat(1 + (i % 5)) + i,
  }));
  await writeFile(file, JSON.stringify(rows));
  return file;
}
