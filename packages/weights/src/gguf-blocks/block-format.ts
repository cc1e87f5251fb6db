/**
 * A block format of ggml. Values under scales are f16 · small whole numbers: products are exact in f64 (and in f32), sums too in f64, so
 * that each value is rounded once, when it is stored, and equals that of `gguf.quants` to the bit.
 */
export interface BlockFormat {
  readonly name: string;
  /** its number in a GGUF tensor record (`ggml_type`) */
  readonly id: number;
  /** values per block */
  readonly elements: number;
  /** bytes per block */
  readonly bytes: number;
  /** whole blocks to values */
  readonly dequantize: (bytes: Uint8Array<ArrayBuffer>) => Float32Array<ArrayBuffer>;
}
