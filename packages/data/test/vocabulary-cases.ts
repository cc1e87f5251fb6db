import { readFileSync } from "node:fs";

/** Texts and ids of a llama.cpp vocabulary test: one text between separators, one line of ids each. */
export function vocabularyCases(inp: string): { text: string; ids: number[] }[] {
  const texts = readFileSync(inp, "utf8").split("\n__ggml_vocab_test__\n").slice(0, -1);
  const lines = readFileSync(inp.replace(/inp$/, "out"), "utf8").split("\n");
  return texts.map((text, i) => ({ text, ids: (lines[i] ?? "").trim().split(/\s+/).filter(Boolean).map(Number) }));
}
