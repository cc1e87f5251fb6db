import { expect, test } from "vitest";
import { codeBlocks } from "./blocks.ts";

test("finds the TypeScript blocks, their lines and their words", () => {
  const text = [
    "# Title",
    "```sh",
    "npm test",
    "```",
    "````ts no-run",
    "const fence = `",
    "```",
    "`;",
    "````",
    "```ts",
    "export {};",
    "```",
    "```tsx",
    "```",
  ];
  expect(codeBlocks(text.join("\n"))).toEqual([
    { code: "const fence = `\n```\n`;", line: 5, info: ["no-run"] },
    { code: "export {};", line: 10, info: [] },
  ]);
});

test("a block that is never closed is an error", () => {
  expect(() => codeBlocks("text\n```ts\nconst a = 1;\n")).toThrow("line 2 is never closed");
});
