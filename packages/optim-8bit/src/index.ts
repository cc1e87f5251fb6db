export { type EightBitOptions, eightBit } from "./eight-bit.ts";
export { optimizers8bit } from "./optimizers-8bit.ts";
