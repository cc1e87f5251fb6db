import { type FloatDType, type Tensor, tensor } from "@ft/tensor";
import { linear } from "@ft/tensor/ops";

/** What the search knows of the inputs of a linear layer. */
export interface InputStatistics {
  /** mean |x| of each channel over all tokens, [in] */
  readonly meanAbs: Float64Array<ArrayBuffer>;
  /** XᵀX of each group of channels, summed over all tokens: [groupSize, groupSize] for every group */
  readonly grams: readonly Float32Array<ArrayBuffer>[];
}

/** Gathers means and Gram matrices of inputs [batch, seq, in], batch by batch. */
export class StatisticsOf {
  readonly #groupSize: number;
  readonly #sums: Float64Array<ArrayBuffer>;
  readonly #grams: Float32Array<ArrayBuffer>[];
  #tokens = 0;

  constructor(width: number, groupSize: number) {
    this.#groupSize = groupSize;
    this.#sums = new Float64Array(width);
    this.#grams = Array.from({ length: width / groupSize }, () => new Float32Array(groupSize ** 2));
  }

  async add(x: Tensor<FloatDType, readonly ["batch", "seq", string]>): Promise<void> {
    const width = this.#sums.length;
    const values = await x.read();
    const tokens = values.length / width;
    for (let i = 0; i < values.length; i += width)
      for (let c = 0; c < width; c++) this.#sums[c]! += Math.abs(values[i + c]!);
    this.#tokens += tokens;
    for (const [group, gram] of this.#grams.entries()) {
      const columns = columnsOf(values, width, group * this.#groupSize, this.#groupSize);
      using side = tensor(x.backend, "f32", ["a", "token"], [this.#groupSize, tokens], columns, { give: true });
      using product = linear(side, side);
      const sums = await product.read();
      for (let i = 0; i < gram.length; i++) gram[i]! += sums[i]!;
    }
  }

  result(): InputStatistics {
    return { meanAbs: this.#sums.map((sum) => sum / this.#tokens), grams: this.#grams };
  }
}

/** `count` columns of [rows, width] from `first` on, as rows. */
function columnsOf(values: ArrayLike<number>, width: number, first: number, count: number): Float32Array<ArrayBuffer> {
  const rows = values.length / width;
  const columns = new Float32Array(count * rows);
  for (let r = 0; r < rows; r++) for (let c = 0; c < count; c++) columns[c * rows + r] = values[r * width + first + c]!;
  return columns;
}

/** The same of inputs that were divided by `scales`, channel by channel. */
export function divided(grams: readonly Float32Array[], scales: Float32Array): Float32Array<ArrayBuffer>[] {
  return grams.map((gram, group) => {
    const size = Math.sqrt(gram.length);
    const own = scales.subarray(group * size, (group + 1) * size);
    return Float32Array.from(gram, (sum, i) => sum / (own[Math.floor(i / size)]! * own[i % size]!));
  });
}
