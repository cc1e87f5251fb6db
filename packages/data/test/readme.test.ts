import { readFile } from "node:fs/promises";
import { expect, it, vi } from "vitest";

it("prints what the README says it prints", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import("./example.ts");
  const printed = log.mock.calls.map((line) => line.join(" "));
  log.mockRestore();
  const example = await readFile(new URL("example.ts", import.meta.url), "utf8");
  expect(printed).toEqual([...example.matchAll(/^\/\/ => (.*)$/gm)].map(([, line]) => line));
  expect(await readFile(new URL("../README.md", import.meta.url), "utf8")).toContain(`\`\`\`ts\n${example}\`\`\``);
});
