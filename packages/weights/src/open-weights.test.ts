import { spawnSync } from "node:child_process";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { expectFtError, goldenPath, temporaryFolder } from "../test/fixtures.ts";
import { openWeights } from "./open-weights.ts";

it("opens a file of either kind, and a folder", async () => {
  await using gguf = await openWeights(goldenPath("gguf-quants/tiny.gguf"));
  expect(gguf.format).toBe("gguf");
  await using file = await openWeights(goldenPath("safetensors/other.safetensors"));
  expect(file.format).toBe("safetensors");
  const folder = await temporaryFolder();
  await copyFile(goldenPath("safetensors/other.safetensors"), join(folder, "model.safetensors"));
  await using inFolder = await openWeights(folder);
  expect(inFolder.tensors.size).toBe(6);
});

it("says what is wrong with a path", async () => {
  const folder = await temporaryFolder();
  const at = (name: string) => join(folder, name);
  await expectFtError(
    openWeights(at("none.gguf")),
    "missing",
    /none\.gguf: there is no such file or folder; check the path/,
  );
  await expectFtError(openWeights(folder), "missing", /is empty; give a folder with model\.safetensors/);
  await writeFile(at("config.json"), "{}");
  await expectFtError(openWeights(folder), "missing", /holds no weights/);
  await expectFtError(openWeights(at("config.json")), "input", /none of the extensions of weight files/);
  await writeFile(at("pytorch_model.bin"), "");
  await expectFtError(openWeights(folder), "unsupported", /pytorch_model\.bin is a pickled PyTorch checkpoint/);
  for (const name of ["a.bin", "a.pt", "a.pth", "a.ckpt"]) {
    await writeFile(at(name), "");
    await expectFtError(openWeights(at(name)), "unsupported", /pickled/);
  }
  await writeFile(at("q4.gguf"), "");
  await expectFtError(openWeights(folder), "missing", /no model\.safetensors, but q4\.gguf; give the file itself/);
  await mkdir(at("folder.gguf"));
  await expectFtError(openWeights(at("folder.gguf")), "missing", /is empty/);
});

it.skipIf(process.platform === "win32")("refuses a pipe, which opening would wait for", async () => {
  const pipe = join(await temporaryFolder(), "x.gguf");
  expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
  await expectFtError(openWeights(pipe), "input", /is not a regular file/);
});
