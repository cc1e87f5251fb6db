import { fileURLToPath } from "node:url";
import { openSafetensors } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { memorySource } from "../../../test/memory-source.ts";
import { GraphBuilder } from "../graph.ts";
import { WeightReader } from "../reader.ts";
import { block4Layout } from "./block4.ts";
import { int8Layout } from "./int8.ts";

const golden = fileURLToPath(new URL("../../../../../tools/goldens/data/onnx/quant.safetensors", import.meta.url));

/** The bytes of the two tensors that a layout makes of a golden matrix. */
async function made(layout: typeof int8Layout, matrix: string): Promise<[Uint8Array, Float32Array]> {
  await using file = await openSafetensors(golden);
  const source = memorySource(
    new Map([[matrix, { shape: file.tensors.get(matrix)!.shape, values: await file.read(matrix, "f32") }]]),
  );
  const graph = new GraphBuilder();
  layout({ graph, reader: new WeightReader(source), activations: "f32" }).product("x", {
    weight: matrix,
    bias: undefined,
  });
  const pieces: Uint8Array[] = [];
  for await (const piece of graph.weights[0]!.data()) pieces.push(piece);
  const scales = pieces.pop()!;
  return [new Uint8Array(Buffer.concat(pieces)), new Float32Array(scales.slice().buffer)];
}

const nibbles = (bytes: Uint8Array): number[] => Array.from(bytes).flatMap((byte) => [byte & 15, byte >> 4]);

describe.each(["normal", "ragged"])("%s, as onnxruntime quantises it", (matrix) => {
  it("in blocks of 4 bits", async () => {
    await using file = await openSafetensors(golden);
    const [codes, scales] = await made(block4Layout, matrix);
    const inner = file.tensors.get(matrix)!.shape[1]!;
    const want = nibbles(await file.read(`${matrix}.q4`, "u8"));
    const width = Math.ceil(inner / 32) * 32;
    // what fills up a row is multiplied by nothing: 0 in onnxruntime's files, the code of 0 in ours
    const real = (_: number, i: number) => i % width < inner;
    expect(nibbles(codes).filter(real)).toEqual(want.filter(real));
    expect(nibbles(codes).filter((code, i) => !real(code, i) && code !== 8)).toEqual([]);
    expect([...scales]).toEqual([...(await file.read(`${matrix}.q4.scale`, "f32"))]);
  });

  it("in 8 bits for each output, transposed", async () => {
    await using file = await openSafetensors(golden);
    const [codes, scales] = await made(int8Layout, matrix);
    const want = await file.read(`${matrix}.int8`, "i8");
    const [out, inner] = file.tensors.get(matrix)!.shape;
    const across = new Int8Array(codes.buffer);
    const rows = Array.from(want, (_, i) => across[(i % inner!) * out! + Math.floor(i / inner!)]);
    expect(rows).toEqual([...want]);
    expect([...scales]).toEqual([...(await file.read(`${matrix}.int8.scale`, "f32"))]);
  });
});
