import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { pickleError } from "./data-file.ts";
import { openGguf } from "./gguf.ts";
import { ioError } from "./io-error.ts";
import { openSafetensors } from "./safetensors.ts";
import type { WeightSource } from "./source.ts";

const pickled = /\.(bin|pt|pth|ckpt|pkl)$/i;

/** Opens weights wherever they are: a model folder, a `.safetensors` file, a sharded index, or a `.gguf` file. */
export async function openWeights(path: string): Promise<WeightSource> {
  const found = await stat(path).catch((error: unknown) => {
    throw ioError(error, "open", path);
  });
  if (found.isDirectory()) return openFolder(path);
  if (/\.gguf$/i.test(path)) return openGguf(path);
  if (/\.safetensors$|\.safetensors\.index\.json$/i.test(path)) return openSafetensors(path);
  if (pickled.test(path)) throw pickleError(path);
  throw new FtError(
    "input",
    `${path} has none of the extensions of weight files`,
    "give a .safetensors file, a .gguf file, or a folder with model.safetensors",
  );
}

async function openFolder(path: string): Promise<WeightSource> {
  const names = (
    await readdir(path).catch((error: unknown) => {
      throw ioError(error, "open", path);
    })
  ).sort();
  if (names.includes("model.safetensors") || names.includes("model.safetensors.index.json"))
    return openSafetensors(path);
  const others = names.filter((name) => /\.(safetensors|gguf)$/i.test(name));
  if (others.length > 0)
    throw new FtError(
      "missing",
      `${path} holds no model.safetensors, but ${others.slice(0, 3).join(", ")}`,
      `give the file itself, such as ${join(path, others[0] ?? "")}`,
    );
  const pickle = names.find((name) => pickled.test(name));
  if (pickle !== undefined) throw pickleError(join(path, pickle));
  throw new FtError(
    "missing",
    names.length === 0 ? `${path} is empty` : `${path} holds no weights`,
    "give a folder with model.safetensors or model.safetensors.index.json, or a .gguf file",
  );
}
