// What is measured, by name: one shape, method and size each, and how far this project should be ahead.
const training = { steps: 8, warm: 3 };
const checkpointing = true;

/**
 * `task`: see ours.mjs; `peers`: what the other side does of it, none where there is nothing to compare with;
 * `wanted`: least ratio of tokens a second to each of them.
 */
export const rows = {
  "8b-lora": {
    title: "8B LoRA bf16, 2 x 2048",
    task: { ...training, shape: "8b", method: "lora", batch: 2, seq: 2048 },
    peers: [{}, { compile: true }],
    wanted: [1.5, 1],
  },
  "8b-lora-checkpointing": {
    title: "8B LoRA bf16, 4 x 2048, checkpointing",
    task: { ...training, shape: "8b", method: "lora", batch: 4, seq: 2048, checkpointing, steps: 6 },
    peers: [{}],
    wanted: [1.5],
  },
  "8b-qlora": {
    title: "8B QLoRA NF4, adamw8bit, 4 x 2048, checkpointing",
    task: { ...training, shape: "8b", method: "qlora", batch: 4, seq: 2048, checkpointing, steps: 6 },
    peers: [{}],
    wanted: [1.5],
  },
  "8b-qlora-memory": {
    title: "8B QLoRA NF4, adamw8bit, 2 x 2048, checkpointing",
    task: { ...training, shape: "8b", method: "qlora", batch: 2, seq: 2048, checkpointing, steps: 4 },
    peers: [{}],
  },
  "70b-qlora": {
    title: "70B QLoRA NF4, adamw8bit, 1 x 2048, checkpointing",
    task: { shape: "70b", method: "qlora", batch: 1, seq: 2048, checkpointing, steps: 3, warm: 2 },
    peers: [],
  },
  "1b-full": {
    title: "1B full fine-tuning, bf16, 4 x 2048",
    task: { ...training, shape: "1b", method: "full", optimizer: "adamw", batch: 4, seq: 2048, checkpointing },
    peers: [{}],
    wanted: [1.2],
  },
  "8b-full": {
    title: "8B full fine-tuning, bf16, adamw8bit, 1 x 2048, checkpointing",
    task: { shape: "8b", method: "full", batch: 1, seq: 2048, checkpointing, steps: 4, warm: 2 },
    peers: [{}],
    wanted: [1],
  },
  "135m-lora": {
    title: "SmolLM2-135M LoRA bf16, 8 x 1024",
    task: { shape: "135m", method: "lora", batch: 8, seq: 1024, steps: 20, warm: 5 },
    peers: [{}, { compile: true }],
    wanted: [3, 1],
  },
  "8b-decode-1": {
    title: "8B decode, batch 1, 128 after 128",
    task: { shape: "8b", method: "decode", batch: 1, seq: 128, tokens: 128, steps: 2, warm: 1 },
    peers: [{}],
    wanted: [2],
  },
  "8b-decode-32": {
    title: "8B decode, batch 32, 128 after 128",
    task: { shape: "8b", method: "decode", batch: 32, seq: 128, tokens: 128, steps: 2, warm: 1 },
    peers: [{}],
    wanted: [2],
  },
  "8b-long": {
    title: "8B QLoRA, 1 x 131072, checkpointing offloaded",
    task: {
      ...{ shape: "8b", method: "qlora", batch: 1, seq: 131072, checkpointing: "offload", steps: 1, warm: 1 },
    },
    peers: [],
  },
  steady: {
    title: "500 steps of 4 layers of SmolLM2's shape",
    task: { shape: "135m", layers: 4, method: "lora", batch: 8, seq: 512, steps: 497, warm: 3 },
    peers: [],
  },
  f16: {
    title: "f16, the scale doubled every 5 good steps until it overflows",
    task: {
      ...{ shape: "135m", layers: 4, method: "lora", dtype: "f16", batch: 2, seq: 512, steps: 57, warm: 3 },
      lossScale: { initScale: 2 ** 16, growthInterval: 5 },
    },
    peers: [],
  },
};

/** In one go where none is named: the rest takes long. */
export const usual = ["135m-lora", "8b-lora", "8b-lora-checkpointing", "8b-qlora", "8b-qlora-memory"];
