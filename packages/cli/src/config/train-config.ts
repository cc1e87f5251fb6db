import type { Truncation } from "@ft/data";
import type { LoraOptions } from "@ft/lora";
import type { Checkpointing, SaveDType } from "@ft/models";

/** How the weights of a base are held while adapters train over it. */
export interface Quantization {
  readonly type?: "nf4" | "fp4" | "int8";
  /** 4 bits: the scales of the blocks are quantised to 8 bits themselves */
  readonly doubleQuant?: boolean;
  /** 4 bits: weights that share a scale */
  readonly blockSize?: number;
  /** what products over the base are computed in; sets `compute` */
  readonly computeDtype?: "f32" | "bf16" | "f16";
}

/** A training run. Every key is a key of the configuration file and, in kebab-case, a flag; flags win. */
export interface TrainConfig {
  /** a model folder, a .gguf file, or a name on the hub: org/name, org/name@revision, org/name/file.gguf */
  readonly model: string;
  /** rows to train on: .json or .jsonl, Alpaca or messages */
  readonly data: string;
  /** folder of the run */
  readonly out: string;
  /** qlora is lora over a quantised base, with other defaults; lora with `quantization` is qlora */
  readonly method: "lora" | "qlora" | "full";
  readonly backend: "auto" | "cpu" | "cuda";
  /** what activations are computed in; f32 when absent */
  readonly dtype?: "f32" | "bf16" | "f16";
  /** cuda: bitwise the same results in every run, at some cost; elsewhere they are anyhow */
  readonly deterministic?: boolean;
  /** cuda: steps are recorded and replayed; on when absent */
  readonly cudaGraphs?: boolean;
  /** threads of the CPU kernels; results do not depend on it */
  readonly threads?: number;
  /** what the products over the weights are made of; bf16 only where the processor has such products */
  readonly compute: "f32" | "bf16";
  /** everything random depends on it: split, order, initialisation, dropout */
  readonly seed: number;
  /** held-out rows in a file of their own */
  readonly validation?: string;
  /** share of the rows to hold out where there is no such file; 0 for none */
  readonly validationFraction: number;
  /** a Jinja file instead of the model's template */
  readonly chatTemplate?: string;
  /** tokens of a row at most; the model's context, but not above 512, when absent */
  readonly maxLength?: number;
  readonly truncation: Truncation;
  readonly packing: boolean;
  /** rows of a micro-batch */
  readonly batchSize?: number;
  /** positions of a micro-batch, instead of batchSize */
  readonly batchTokens?: number;
  /** micro-batches of an optimizer step */
  readonly accumulation: number;
  /** times through the data; 3 when neither this nor maxSteps is given */
  readonly epochs?: number;
  readonly maxSteps?: number;
  /** peak learning rate; 2e-4 for lora and qlora, 2e-5 for full when absent */
  readonly learningRate?: number;
  readonly schedule: "constant" | "linear" | "cosine";
  readonly warmupSteps?: number;
  readonly warmupRatio?: number;
  /** a name of the tables in @ft/optim and @ft/optim-8bit; adamw, or adamw8bit for qlora, when absent */
  readonly optimizer: string;
  readonly weightDecay: number;
  readonly beta1?: number;
  readonly beta2?: number;
  readonly eps?: number;
  readonly momentum?: number;
  readonly nesterov?: boolean;
  /** α of RMSProp */
  readonly rmspropAlpha?: number;
  /** 8-bit optimizers: tensors of fewer elements keep 32-bit state */
  readonly min8bitSize?: number;
  /** which order of weight decay and step, where bitsandbytes differs from the textbook; the optimizer's own when absent */
  readonly optimizerOrder?: "bitsandbytes" | "textbook";
  /** where the optimizer's state is between steps: with the weights, in host memory, or in a file */
  readonly optimizerPlacement: "device" | "host" | "file";
  /** folder of that file; the run's own when absent */
  readonly optimizerFolder?: string;
  /** largest global gradient norm; 0 for no clipping */
  readonly clipNorm: number;
  /** recompute activations in the backward; "offload" also keeps the inputs of blocks off a card; on for qlora when absent */
  readonly checkpointing: Checkpointing;
  /** steps between evaluations; a tenth of the run when absent */
  readonly evalEvery?: number;
  /** steps between checkpoints; as evalEvery when absent */
  readonly saveEvery?: number;
  readonly keep: number;
  /** stop after so many evaluations without improvement */
  readonly patience?: number;
  readonly minDelta: number;
  /** what the weights of method full are held in while they train; bf16 has f32 masters beside the optimizer's state */
  readonly weightDtype: "f32" | "bf16";
  /** what the weights of method full are saved as; as weightDtype when absent */
  readonly saveDtype: SaveDType;
  readonly resume: boolean;
  /** a ds_config.json; its settings are taken over when the configuration is read */
  readonly deepspeed?: string;
  readonly lora: LoraOptions;
  readonly quantization?: Quantization;
}

/** What a file or the command line gives: some of the keys. */
export type PartialConfig = { readonly [K in keyof TrainConfig]?: TrainConfig[K] | undefined };

export const defaults: Omit<TrainConfig, "model" | "data" | "out"> = {
  method: "lora",
  backend: "auto",
  compute: "f32",
  seed: 0,
  validationFraction: 0.05,
  truncation: "end",
  packing: false,
  accumulation: 1,
  schedule: "cosine",
  optimizer: "adamw",
  optimizerPlacement: "device",
  weightDecay: 0.01,
  clipNorm: 1,
  checkpointing: false,
  weightDtype: "f32",
  keep: 2,
  minDelta: 0,
  saveDtype: "f32",
  resume: false,
  lora: {},
};

/** What method qlora has in place of some of them (Dettmers et al. 2023). */
export const qloraDefaults: { readonly optimizer: "adamw8bit"; readonly checkpointing: true } = {
  optimizer: "adamw8bit",
  checkpointing: true,
};

export const quantizationDefaults: { readonly type: "nf4"; readonly doubleQuant: true; readonly blockSize: 64 } = {
  type: "nf4",
  doubleQuant: true,
  blockSize: 64,
};
