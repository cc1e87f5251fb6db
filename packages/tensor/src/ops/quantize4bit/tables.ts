/** The two 4-bit types: NF4 (quantiles of a normal distribution, QLoRA, Dettmers et al. 2023) and FP4 (sign, two exponent bits, one mantissa bit). */
export type QuantType4bit = "nf4" | "fp4";

/** Values of the NF4 codes 0…15, ascending, in units of the largest magnitude of a block. Equal to bitsandbytes to the bit. */
export const nf4Values: Float32Array<ArrayBuffer> = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/**
 * NF4 code = how many of these are below the scaled value; a tie takes the lower code. The constants of bitsandbytes'
 * CUDA kernel as f32: halfway between neighbours, four of them a place beside the middle as f32 rounds it.
 */
export const nf4Bounds: Float32Array<ArrayBuffer> = Float32Array.of(
  -0.8480964303016663,
  -0.6106328964233398,
  -0.4599952697753906,
  -0.33967941999435425,
  -0.23460739850997925,
  -0.13791173696517944,
  -0.045525018125772476,
  0.03979014977812767,
  0.1202552542090416,
  0.2035212516784668,
  0.2920137643814087,
  0.3893125355243683,
  0.5016633868217468,
  0.6427869200706482,
  0.8614783883094788,
);

const fp4Magnitudes = [0, 0.0052083334885537624, 2 / 3, 1, 1 / 3, 0.5, 1 / 6, 0.25];

/** Values of the FP4 codes 0…15; bit 3 is the sign, and code 8 is −0 as in bitsandbytes' CUDA kernels. */
export const fp4Values: Float32Array<ArrayBuffer> = Float32Array.from([
  ...fp4Magnitudes,
  ...fp4Magnitudes.map((value) => -value),
]);

/**
 * Rank of an FP4 magnitude = how many of these are below it. The constants of bitsandbytes' CUDA kernel, which are not
 * all midpoints to the last digit.
 */
export const fp4Bounds: Float32Array<ArrayBuffer> = Float32Array.of(
  0.00260417,
  0.0859375,
  0.20833333,
  0.29166667,
  0.4166667,
  0.583333,
  0.8333333,
);

/** The FP4 code, sign apart, of each rank of magnitude. */
export const fp4Ranks: Float32Array<ArrayBuffer> = Float32Array.of(0, 1, 6, 7, 4, 5, 2, 3);

/** The 16 values of a 4-bit type. */
export const values4bit: { readonly [T in QuantType4bit]: Float32Array<ArrayBuffer> } = {
  nf4: nf4Values,
  fp4: fp4Values,
};
