import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { type Append, streamFileAtomic } from "@ft/weights";
import { bytesOf, type Weight } from "./graph.ts";
import type { OnnxTensor } from "./proto.ts";

/** Tensors begin at multiples of a page, so that they can be mapped into memory. */
const page = 4096;

/** transformers.js reads no more of them. */
const mostFiles = 100;

/** One file beside a model. */
interface DataFile {
  readonly name: string;
  readonly weights: Weight[];
  bytes: number;
}

/** Where the tensors of a model lie: `<model>_data`, `<model>_data_1`, … as transformers.js fetches them. */
export interface DataLayout {
  readonly files: readonly DataFile[];
  readonly external: readonly OnnxTensor[];
}

/**
 * Spreads weights over files of at most `maxBytes`; a weight that is larger has a file of its own.
 * Code "input" for sizes that are not above 0, or that make more files than transformers.js reads.
 */
export function layOut(model: string, weights: readonly Weight[], maxBytes: number): DataLayout {
  if (!(maxBytes > 0)) throw new FtError("input", `[onnx] data files of ${maxBytes} bytes`, "give a positive number");
  const files: DataFile[] = [];
  const external: OnnxTensor[] = [];
  let file: DataFile | undefined;
  for (const weight of weights) {
    const bytes = weight.tensors.reduce((sum, tensor) => sum + padded(bytesOf(tensor)), 0);
    if (file === undefined || (file.bytes > 0 && file.bytes + bytes > maxBytes)) {
      file = { name: `${model}_data${files.length === 0 ? "" : `_${files.length}`}`, weights: [], bytes: 0 };
      files.push(file);
    }
    file.weights.push(weight);
    for (const tensor of weight.tensors) {
      const data = { location: file.name, offset: file.bytes, length: bytesOf(tensor) };
      external.push({ ...tensor, data });
      file.bytes += padded(data.length);
    }
  }
  if (files.length > mostFiles)
    throw new FtError(
      "input",
      `[onnx] ${files.length} data files of at most ${maxBytes} bytes, and transformers.js reads at most ${mostFiles}`,
      "allow larger files",
    );
  return { files, external };
}

/** Writes the files of a layout as a stream. Errors: "io", and what reading the weights gives. */
export async function writeDataFiles(folder: string, { files }: DataLayout): Promise<void> {
  for (const { name, weights } of files)
    await streamFileAtomic(join(folder, name), async (append) => {
      for (const weight of weights) await appendWeight(weight, append);
    });
}

/** The bytes of a weight, each of its tensors filled up to whole pages. */
async function appendWeight({ tensors, data }: Weight, append: Append): Promise<void> {
  const sizes = tensors.map(bytesOf);
  let [at, got] = [0, 0];
  for await (const piece of data()) {
    await append(piece);
    got += piece.length;
    if (got < (sizes[at] ?? 0)) continue;
    if (got !== sizes[at]) break;
    await append(new Uint8Array(padded(got) - got));
    [at, got] = [at + 1, 0];
  }
  if (at === sizes.length && got === 0) return;
  const { name } = tensors[at] ?? tensors[0]!;
  throw new FtError("shape", `[onnx] ${name} came with ${got} bytes of ${sizes[at]}`, "report this: a writer is wrong");
}

const padded = (bytes: number): number => Math.ceil(bytes / page) * page;
