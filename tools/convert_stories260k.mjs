// Converts llama2.c's stories260K to a Hugging Face folder: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.
//
//   node tools/convert_stories260k.mjs SRC_DIR OUT_DIR
//
// SRC_DIR holds stories260K.bin (legacy format of llama2.c) and tok512.bin. All numbers in them are little-endian.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [source, target] = process.argv.slice(2);
if (!source || !target) {
  console.error("usage: node tools/convert_stories260k.mjs SRC_DIR OUT_DIR");
  process.exit(2);
}

/** Seven int32, then float32 matrices as rows [out, in], all layers of one kind together. */
function readModel(path) {
  const bytes = readFileSync(path);
  const head = Array.from({ length: 7 }, (_, i) => bytes.readInt32LE(4 * i));
  const [dim, hidden, layers, heads, kvHeads, vocab, context] = head;
  if (vocab <= 0) throw new Error(`${path}: a classifier of its own (negative vocabulary size) is not handled`);
  const kv = (dim / heads) * kvHeads;
  let at = 28;
  const take = (rows, columns) => {
    const size = 4 * rows * columns;
    if (at + size > bytes.length) throw new Error(`${path}: ends at byte ${bytes.length}, wanted ${at + size}`);
    const tensor = { shape: columns === 1 ? [rows] : [rows, columns], data: bytes.subarray(at, at + size) };
    at += size;
    return tensor;
  };
  const perLayer = (rows, columns) => Array.from({ length: layers }, () => take(rows, columns));
  const model = {
    config: { dim, hidden, layers, heads, kvHeads, vocab, context },
    embedding: take(vocab, dim),
    attentionNorm: perLayer(dim, 1),
    q: perLayer(dim, dim),
    k: perLayer(kv, dim),
    v: perLayer(kv, dim),
    o: perLayer(dim, dim),
    mlpNorm: perLayer(dim, 1),
    gate: perLayer(hidden, dim),
    down: perLayer(dim, hidden),
    up: perLayer(hidden, dim),
    norm: take(dim, 1),
  };
  const ropeTables = 2 * 4 * context * (dim / heads / 2); // of no use here
  if (at + ropeTables !== bytes.length) throw new Error(`${path}: ${bytes.length - at - ropeTables} bytes left over`);
  return model;
}

/** llama2.c rotates the pairs (2i, 2i+1) of a head, Hugging Face the pairs (i, i + half): the same rotation for rows so reordered. */
function halfSplit({ shape, data }, heads) {
  const [rows, columns] = shape;
  const size = rows / heads;
  const out = Buffer.alloc(data.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % size;
    const from = row - inHead + (inHead < size / 2 ? 2 * inHead : 2 * inHead - size + 1);
    data.copy(out, 4 * row * columns, 4 * from * columns, 4 * (from + 1) * columns);
  }
  return { shape, data: out };
}

function byName(model) {
  const { heads, kvHeads, layers } = model.config;
  const tensors = { "model.embed_tokens.weight": model.embedding, "model.norm.weight": model.norm };
  for (let i = 0; i < layers; i++) {
    Object.assign(tensors, {
      [`model.layers.${i}.input_layernorm.weight`]: model.attentionNorm[i],
      [`model.layers.${i}.self_attn.q_proj.weight`]: halfSplit(model.q[i], heads),
      [`model.layers.${i}.self_attn.k_proj.weight`]: halfSplit(model.k[i], kvHeads),
      [`model.layers.${i}.self_attn.v_proj.weight`]: model.v[i],
      [`model.layers.${i}.self_attn.o_proj.weight`]: model.o[i],
      [`model.layers.${i}.post_attention_layernorm.weight`]: model.mlpNorm[i],
      [`model.layers.${i}.mlp.gate_proj.weight`]: model.gate[i],
      [`model.layers.${i}.mlp.up_proj.weight`]: model.up[i],
      [`model.layers.${i}.mlp.down_proj.weight`]: model.down[i],
    });
  }
  return tensors;
}

function safetensors(tensors) {
  const header = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + data.length] };
    offset += data.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, " ");
  json.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...Object.values(tensors).map((t) => t.data)]);
}

function config({ dim, hidden, layers, heads, kvHeads, vocab, context }) {
  return {
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_act: "silu",
    hidden_size: dim,
    intermediate_size: hidden,
    max_position_embeddings: context,
    mlp_bias: false,
    model_type: "llama",
    num_attention_heads: heads,
    num_hidden_layers: layers,
    num_key_value_heads: kvHeads,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    torch_dtype: "float32",
    vocab_size: vocab,
  };
}

const SPECIAL = ["<unk>", "<s>", "</s>"];
const FIRST_TEXT_PIECE = 259; // after the special pieces and 256 bytes

/** int32 longest piece, then float32 score, int32 byte length and bytes of each piece; a space stands for U+2581. */
function readPieces(path, count) {
  const bytes = readFileSync(path);
  const pieces = [];
  let at = 4;
  for (let id = 0; id < count; id++) {
    const length = bytes.readInt32LE(at + 4);
    const text = bytes.toString("utf8", at + 8, at + 8 + length).replaceAll(" ", "\u2581");
    pieces.push({ text: SPECIAL[id] ?? text, score: bytes.readFloatLE(at) });
    at += 8 + length;
  }
  if (at !== bytes.length) throw new Error(`${path}: ${bytes.length - at} bytes left over`);
  return pieces;
}

/** SentencePiece joins the two neighbours whose piece scores highest: every split of a piece into two pieces is a merge of its score. */
function merges(pieces) {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const found = [];
  for (const { text, score } of pieces.slice(FIRST_TEXT_PIECE)) {
    const characters = [...text];
    const splits = [];
    for (let i = 1; i < characters.length; i++) {
      const left = characters.slice(0, i).join("");
      const right = characters.slice(i).join("");
      if (ids.has(left) && ids.has(right)) splits.push({ left, right, score });
    }
    splits.sort((a, b) => ids.get(a.left) - ids.get(b.left) || ids.get(a.right) - ids.get(b.right));
    found.push(...splits);
  }
  return found.sort((a, b) => b.score - a.score).map(({ left, right }) => `${left} ${right}`);
}

function tokenizer(pieces) {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "\u2581" },
        { type: "Replace", pattern: { String: " " }, content: "\u2581" },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [
        { SpecialToken: { id: "<s>", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { SpecialToken: { id: "<s>", type_id: 1 } },
        { Sequence: { id: "B", type_id: 1 } },
      ],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "\u2581" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
      merges: merges(pieces),
    },
  };
}

const model = readModel(join(source, "stories260K.bin"));
const pieces = readPieces(join(source, "tok512.bin"), model.config.vocab);
const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
mkdirSync(target, { recursive: true });
writeFileSync(join(target, "config.json"), json(config(model.config)));
writeFileSync(join(target, "model.safetensors"), safetensors(byName(model)));
writeFileSync(join(target, "tokenizer.json"), json(tokenizer(pieces)));
writeFileSync(
  join(target, "tokenizer_config.json"),
  json({
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: "<s>",
    eos_token: "</s>",
    unk_token: "<unk>",
    model_max_length: model.config.context,
    clean_up_tokenization_spaces: false,
  }),
);
