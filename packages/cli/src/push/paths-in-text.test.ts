import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { namesPaths, withoutFolder } from "./paths-in-text.ts";

describe("namesPaths", () => {
  const config = { model: "/models/base", data: "/data/rows.json", out: "run", validation: "org/name@main" };
  const names = (text: string): boolean => namesPaths(text, "/exports/m", config);

  it.each([
    "/exports/m",
    `"path": "/exports/m/config.json"`,
    "trained on /data/rows.json.",
    "file:///models/base/x",
    `see ${join(homedir(), "notes")}`,
    `(${join(process.cwd(), "x")})`,
  ])("finds %s", (text) => expect(names(text)).toBe(true));

  it.each([
    "/exports/merged",
    "https://example.org/models/base",
    "/data/rows.jsonl",
    "run and org/name@main",
    "../models/base",
    `a home alone: ${homedir()}`,
    "",
  ])("passes %s", (text) => expect(names(text)).toBe(false));
});

describe("withoutFolder", () => {
  it("puts the repository in the folder's place, and its files by their names", () => {
    const text =
      "In out.\n\n```sh\nvllm serve out\nllama-cli -m /a/out/m.gguf --out output\n```\n\nAt /a/out, not /a/outer.\n";
    expect(withoutFolder(text, "./out/", "/a/out", "org/m")).toBe(
      "In out.\n\n```sh\nvllm serve org/m\nllama-cli -m m.gguf --out output\n```\n\nAt org/m, not /a/outer.\n",
    );
  });

  it("leaves a text that names no folder as it is", () => {
    expect(withoutFolder("```sh\ncd .\nls / $HOME\n```\n", ".", "/", "org/m")).toBe("```sh\ncd .\nls / $HOME\n```\n");
  });
});
