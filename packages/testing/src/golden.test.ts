import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { pathToFileURL } from "node:url";
import { FtError } from "@ft/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { golden, sharedData } from "./golden.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ft-golden-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("reads a golden file, and says which one cannot be read", async () => {
  const [good, bad] = [join(folder, "good.json"), join(folder, "bad.json")];
  await writeFile(good, '{"loss": 1.5}');
  await writeFile(bad, '{"loss": ');
  expect(await golden<{ loss: number }>(pathToFileURL(good))).toEqual({ loss: 1.5 });
  await expect(golden(pathToFileURL(bad))).rejects.toThrow(/bad\.json is not JSON; run the script/);
  await expect(golden(pathToFileURL(join(folder, "none.json")))).rejects.toThrow(FtError);
});

it("finds shared data or says that there is none", () => {
  expect(sharedData("no/such/file")).toBeUndefined();
  const readme = sharedData("README.md");
  if (readme !== undefined) expect(isAbsolute(readme)).toBe(true);
});
