import type { Hidden } from "@ft/models";
import { type Backend, FtError, type Tensor, tensor } from "@ft/tensor";
import type { ExportSource } from "../source/export-source.ts";

type Grid = Tensor<"i32", readonly ["batch", "seq"]>;

/** Calibration rows side by side, each a segment of its own, on their way through the blocks. */
export interface CalibrationBatch {
  /** the residual stream before the block at work, [1, tokens, hidden] */
  x: Hidden;
  readonly positions: Grid;
  readonly segments: Grid;
  /** whether candidates are tried on it; the statistics of activations are of all batches */
  readonly searched: boolean;
}

/** How calibration rows become batches. */
export interface CalibrationOptions {
  readonly backend: Backend;
  readonly rows: readonly (readonly number[])[];
  /** about how many tokens candidates are tried on */
  readonly searchTokens: number;
}

/** Longest piece of a row, in tokens, as AutoAWQ cuts them; also what attends together in one call. */
const pieceTokens = 512;

/** Cuts rows into pieces and embeds them. No padding: every token counts. Errors: "input" (no tokens), "data" (unknown ids). */
export async function embedCalibration(
  source: ExportSource,
  { backend, rows, searchTokens }: CalibrationOptions,
): Promise<CalibrationBatch[]> {
  const { hiddenSize, vocabSize, maxPositions } = source.config;
  checkIds(rows, vocabSize);
  const packs = [...packed(rows, Math.min(pieceTokens, maxPositions))];
  if (packs.length === 0)
    throw new FtError("input", "[awq] the calibration rows hold no tokens", "pass some rows of the training set");
  const tokens = rows.reduce((sum, row) => sum + row.length, 0);
  const every = Math.max(1, Math.round(tokens / searchTokens));
  const embeddings = new Map<number, Float32Array>();
  const embedded = async (ids: readonly number[]): Promise<Float32Array<ArrayBuffer>> => {
    const x = new Float32Array(ids.length * hiddenSize);
    for (const [i, id] of ids.entries()) {
      const known =
        embeddings.get(id) ?? (await source.readWindow("model.embed_tokens.weight", id * hiddenSize, hiddenSize));
      embeddings.set(id, known);
      x.set(known, i * hiddenSize);
    }
    return x;
  };
  const batches: CalibrationBatch[] = [];
  try {
    for (const [number, pieces] of packs.entries()) {
      const x = await embedded(pieces.flat());
      const shape = [1, x.length / hiddenSize];
      const grid = (data: number[]): Grid => tensor(backend, "i32", ["batch", "seq"], shape, Int32Array.from(data));
      batches.push({
        x: tensor(backend, "f32", ["batch", "seq", "hidden"], [...shape, hiddenSize], x, { give: true }),
        positions: grid(pieces.flatMap((piece) => piece.map((_, i) => i))),
        segments: grid(pieces.flatMap((piece, segment) => piece.map(() => segment + 1))),
        searched: number % every === 0,
      });
    }
    return batches;
  } catch (error) {
    disposeCalibration(batches);
    throw error;
  }
}

function checkIds(rows: readonly (readonly number[])[], vocabSize: number): void {
  for (const row of rows)
    for (const id of row)
      if (!Number.isSafeInteger(id) || id < 0 || id >= vocabSize)
        throw new FtError(
          "data",
          `[awq] the calibration rows hold id ${id}, the model knows ${vocabSize} tokens`,
          "use the tokenizer that belongs to the model",
        );
}

/** Pieces of at most `longest` tokens, together no more than one of the longest would be. */
function* packed(rows: readonly (readonly number[])[], longest: number): Generator<(readonly number[])[]> {
  let pieces: (readonly number[])[] = [];
  let tokens = 0;
  for (const row of rows)
    for (let start = 0; start < row.length; start += longest) {
      const piece = row.slice(start, start + longest);
      if (tokens + piece.length > longest) {
        yield pieces;
        pieces = [];
        tokens = 0;
      }
      pieces.push(piece);
      tokens += piece.length;
    }
  if (tokens > 0) yield pieces;
}

export function disposeCalibration(batches: readonly CalibrationBatch[]): void {
  for (const { x, positions, segments } of batches) for (const held of [x, positions, segments]) held.dispose();
}
