export { type BitsandbytesOptions, bitsandbytesFormat } from "./bitsandbytes/format.ts";
export { Int8Linear, type WeightInt8 } from "./int8-linear.ts";
export { type Facts4bit, Nf4Linear } from "./nf4-linear.ts";
export { errorTable, quantizationError, type TensorError } from "./quantization-error.ts";
export { blockSizes } from "./quantize/block-size.ts";
export { type HeldDType, type HostWeight, hostWeight } from "./quantize/host-weight.ts";
export { meanAbsmax, type Nested, nestAbsmax } from "./quantize/nested.ts";
export { type Quantization4bit, quantizeTo4bit } from "./quantize/quantize-4bit.ts";
export { quantizeToInt8 } from "./quantize/quantize-int8.ts";
