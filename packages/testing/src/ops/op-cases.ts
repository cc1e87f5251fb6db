import { attentionCases } from "./attention-cases.ts";
import { elementwiseCases } from "./elementwise-cases.ts";
import { matrixCases } from "./matrix-cases.ts";
import type { OpCase } from "./op-case.ts";
import { optimizerCases } from "./optimizer-cases.ts";
import { quantizeCases } from "./quantize-cases.ts";

/** Every built-in op with a generator of random inputs; a test holds the list against the exports of `@ft/tensor/ops`. */
export const opCases: readonly OpCase[] = [
  ...elementwiseCases,
  ...matrixCases,
  ...attentionCases,
  ...optimizerCases,
  ...quantizeCases,
];
