import { homedir } from "node:os";
import { join } from "node:path";

/** Where tools/smollm2.mjs leaves SmolLM2-135M-Instruct, or what FT_SMOLLM2_GGUF names; tests that need it skip, visibly, where it is not. */
export function smollm2Path(): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  return process.env.FT_SMOLLM2_GGUF ?? join(cache, "ft/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
}
