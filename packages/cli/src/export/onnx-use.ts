import { basename } from "node:path";
import type { OnnxType } from "@ft/export";
import type { Use } from "./card.ts";

/** How transformers.js loads a folder of this name; the first of its types is meant. */
export function onnxUses(folder: string, type: OnnxType, hasTemplate: boolean): readonly [Use, ...Use[]] {
  const name = JSON.stringify(basename(folder));
  const [prompt, answer] = hasTemplate
    ? [`[{ role: "user", content: "Hello" }]`, "generated_text.at(-1).content"]
    : [`"Hello"`, "generated_text"];
  return [
    {
      text: "In transformers.js, in Node and in browsers:",
      language: "js",
      command: [
        `import { env, pipeline } from "@huggingface/transformers";`,
        "",
        "env.allowRemoteModels = false;",
        `env.localModelPath = "./"; // what this folder lies in; in a browser, the address where it is served`,
        `const generator = await pipeline("text-generation", ${name}, { dtype: "${type}" });`,
        `const [{ generated_text }] = await generator(${prompt}, { max_new_tokens: 64 });`,
        `console.log(${answer});`,
      ].join("\n"),
    },
  ];
}
