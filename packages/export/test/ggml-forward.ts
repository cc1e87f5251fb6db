import { configFromGguf, type LlamaConfig } from "@ft/models";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "@ft/tensor";
import { openGguf, type WeightSource } from "@ft/weights";

interface Matrix {
  readonly values: Float32Array;
  readonly rows: number;
  readonly width: number;
  readonly round: (x: Float64Array) => Float64Array;
  /** the least value of each block of 32, where the type has one (Q4_1, Q5_1) */
  readonly minima: Float32Array | undefined;
}

/**
 * Logits [prompt, vocab] of a llama in a .gguf file, written down plainly in f64: the file's dequantised weights, and what enters a
 * product with a matrix rounded as ggml's CPU kernels round it for the matrix's type (`vec_dot_type`). What llama.cpp should give.
 */
export async function ggmlForward(path: string, prompt: readonly number[]): Promise<Float32Array> {
  await using file = await openGguf(path);
  const embedding = await matrix(file, "token_embd.weight");
  const config = configFromGguf(file.metadata, path, {
    tensors: new Set(file.tensors.keys()),
    vocabSize: embedding.rows,
  });
  const x = prompt.map((token) => Float64Array.from(rowOf(embedding, token)));
  for (let layer = 0; layer < config.layers; layer++) await block(file, config, layer, x);
  const norm = await file.read("output_norm.weight", "f32");
  const head = file.tensors.has("output.weight") ? await matrix(file, "output.weight") : embedding;
  const logits = new Float32Array(prompt.length * head.rows);
  for (const [i, row] of x.entries()) logits.set(product(head, normed(row, norm, config)), i * head.rows);
  return logits;
}

async function block(
  file: WeightSource,
  config: LlamaConfig,
  layer: number,
  x: readonly Float64Array[],
): Promise<void> {
  const of = (name: string) => matrix(file, `blk.${layer}.${name}.weight`);
  const vector = (name: string) => file.read(`blk.${layer}.${name}.weight`, "f32");
  const [q, k, v, o] = await Promise.all(["attn_q", "attn_k", "attn_v", "attn_output"].map(of));
  const inputs = await vector("attn_norm").then((weight) => x.map((row) => normed(row, weight, config)));
  const keys = inputs.map((row, position) => rotated(product(k!, row), position, config));
  const values = inputs.map((row) => product(v!, row));
  for (const [i, row] of inputs.entries()) {
    const query = rotated(product(q!, row), i, config);
    add(x[i]!, product(o!, attention(query, keys.slice(0, i + 1), values, config)));
  }
  const [gate, up, down] = await Promise.all(["ffn_gate", "ffn_up", "ffn_down"].map(of));
  const weight = await vector("ffn_norm");
  for (const row of x) {
    const input = normed(row, weight, config);
    const opened = product(gate!, input);
    const raised = product(up!, input);
    add(
      row,
      product(
        down!,
        raised.map((value, i) => (value * opened[i]!) / (1 + Math.exp(-opened[i]!))),
      ),
    );
  }
}

async function matrix(file: WeightSource, name: string): Promise<Matrix> {
  const { shape, dtype } = file.tensors.get(name)!;
  const round = roundings[dtype];
  if (!round) throw new Error(`no rounding is known for ${dtype}`);
  const values = await file.read(name, "f32");
  return {
    values,
    rows: shape[0]!,
    width: shape[1]!,
    round,
    minima: /^Q[45]_1$/.test(dtype) ? minimaOf(values) : undefined,
  };
}

function rowOf({ values, width }: Matrix, row: number): Float32Array {
  return values.subarray(row * width, (row + 1) * width);
}

function product(matrix: Matrix, input: Float64Array): Float64Array {
  const x = matrix.round(input);
  const { values, rows, width } = matrix;
  const out = new Float64Array(rows);
  for (let row = 0, at = 0; row < rows; row++) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += values[at++]! * x[i]!;
    out[row] = sum;
  }
  if (matrix.minima) addMinima(out, matrix.minima, sumErrors(input, x));
  return out;
}

/** ggml keeps the least value of a block, and multiplies it with the sum of 32 inputs, which it has rounded to f16 by itself. */
function addMinima(out: Float64Array, minima: Float32Array, errors: Float64Array): void {
  for (let row = 0, at = 0; row < out.length; row++) for (const error of errors) out[row]! += minima[at++]! * error;
}

/** By how much the f16 sums of blocks of 32 differ from the sums of what the inputs are rounded to. */
function sumErrors(input: Float64Array, rounded: Float64Array): Float64Array {
  return Float64Array.from({ length: input.length / 32 }, (_, block) => {
    const own = Float32Array.from(input.subarray(block * 32, block * 32 + 32));
    const d = scaleOf(own);
    const whole = own.reduce((sum, value) => sum + (d === 0 ? 0 : Math.round(value / d)), 0);
    const sum = rounded.subarray(block * 32, block * 32 + 32).reduce((total, value) => total + value, 0);
    return f16ToF32(f32ToF16(Float32Array.of(whole * d)))[0]! - sum;
  });
}

function minimaOf(values: Float32Array): Float32Array {
  return Float32Array.from({ length: values.length / 32 }, (_, block) =>
    values.subarray(block * 32, block * 32 + 32).reduce((least, value) => Math.min(least, value)),
  );
}

function scaleOf(block: Float32Array): number {
  return Math.fround(block.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127);
}

function normed(x: Float64Array, weight: Float32Array, { rmsNormEps }: LlamaConfig): Float64Array {
  let sum = 0;
  for (const value of x) sum += value * value;
  const scale = 1 / Math.sqrt(sum / x.length + rmsNormEps);
  return x.map((value, i) => value * scale * weight[i]!);
}

/** Rotary embedding over pairs that lie side by side, as llama.cpp stores the rows of q and k. */
function rotated(x: Float64Array, position: number, { headDim, ropeTheta }: LlamaConfig): Float64Array {
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i += 2) {
    const angle = position / ropeTheta ** ((i % headDim) / headDim);
    const [a, b, cos, sin] = [x[i]!, x[i + 1]!, Math.cos(angle), Math.sin(angle)];
    out[i] = a * cos - b * sin;
    out[i + 1] = a * sin + b * cos;
  }
  return out;
}

function attention(
  query: Float64Array,
  keys: readonly Float64Array[],
  values: readonly Float64Array[],
  { heads, kvHeads, headDim }: LlamaConfig,
): Float64Array {
  const out = new Float64Array(heads * headDim);
  for (let head = 0; head < heads; head++) {
    const own = head * headDim;
    const shared = Math.floor((head * kvHeads) / heads) * headDim;
    const scores = keys.map((key) => {
      let sum = 0;
      for (let i = 0; i < headDim; i++) sum += query[own + i]! * key[shared + i]!;
      return sum / Math.sqrt(headDim);
    });
    const most = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [at, weight] of weights.entries())
      for (let i = 0; i < headDim; i++) out[own + i]! += (weight / total) * values[at]![shared + i]!;
  }
  return out;
}

function add(to: Float64Array, x: Float64Array): void {
  for (let i = 0; i < to.length; i++) to[i]! += x[i]!;
}

/** Blocks of 32: 8-bit whole numbers under an f16 scale (Q8_0; Q8_1 has their sum beside). */
function byThirtyTwo(x: Float64Array): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += 32) {
    const block = Float32Array.from(x.subarray(at, at + 32));
    const d = scaleOf(block);
    const scale = f16ToF32(f32ToF16(Float32Array.of(d)))[0]!;
    for (let i = 0; i < block.length; i++) out[at + i] = d === 0 ? 0 : Math.round(block[i]! / d) * scale;
  }
  return out;
}

/** Blocks of 256: 8-bit whole numbers under an f32 scale, the largest at -127 (Q8_K). */
function byTwoHundredFiftySix(x: Float64Array): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += 256) {
    const block = Float32Array.from(x.subarray(at, at + 256));
    const most = block.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    const scale = Math.fround(-127 / most);
    for (let i = 0; i < block.length; i++)
      out[at + i] = most === 0 ? 0 : Math.min(127, Math.round(Math.fround(scale * block[i]!))) / scale;
  }
  return out;
}

const roundings: Readonly<Record<string, (x: Float64Array) => Float64Array>> = {
  F32: (x) => x,
  F16: (x) => Float64Array.from(f16ToF32(f32ToF16(Float32Array.from(x)))),
  BF16: (x) => Float64Array.from(bf16ToF32(f32ToBf16(Float32Array.from(x)))),
  ...{ Q8_0: byThirtyTwo, Q4_0: byThirtyTwo, Q5_0: byThirtyTwo, Q4_1: byThirtyTwo, Q5_1: byThirtyTwo },
  ...{ Q4_K: byTwoHundredFiftySix, Q5_K: byTwoHundredFiftySix, Q6_K: byTwoHundredFiftySix },
};
