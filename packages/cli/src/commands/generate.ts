import { readFile } from "node:fs/promises";
import type { Message } from "@ft/data";
import { FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { answerPieces } from "../run/answer.ts";
import { type BackendName, closing, openBackend } from "../run/open-backend.ts";
import { openModel } from "../run/open-model.ts";
import { resolveModel } from "../run/resolve-model.ts";

export interface GenerateFlags {
  readonly model: string;
  readonly adapter?: string;
  readonly prompt?: string;
  readonly promptFile?: string;
  readonly system?: string;
  readonly chatTemplate?: string;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed: number;
  readonly threads?: number;
  readonly backend: BackendName;
  readonly dtype?: "f32" | "bf16" | "f16";
}

/** `ft generate`: one prompt, one answer, streamed. */
export async function generateCommand(flags: GenerateFlags, io: Io, signal: AbortSignal): Promise<void> {
  const prompt = await promptOf(flags);
  const { path: model } = await resolveModel(flags.model, "model", io, signal);
  using place = closing(await openBackend(flags.backend, { ...flags, note: io.note }));
  const { adapter, chatTemplate, dtype } = flags;
  using open = await openModel(model, { backend: place.backend, adapter, chatTemplate, dtype });
  const messages: Message[] = [
    ...(flags.system === undefined ? [] : [{ role: "system" as const, content: flags.system }]),
    { role: "user", content: prompt },
  ];
  const { maxNewTokens, temperature, topK, topP, seed } = flags;
  let text = "";
  const begun = performance.now();
  for await (const piece of answerPieces(open, messages, { maxNewTokens, temperature, topK, topP, seed, signal })) {
    io.write(piece);
    text += piece;
  }
  io.print("");
  const seconds = (performance.now() - begun) / 1000;
  io.document({ prompt, text, seconds });
}

async function promptOf({ prompt, promptFile }: GenerateFlags): Promise<string> {
  if (prompt !== undefined && promptFile === undefined) return prompt;
  if (prompt !== undefined || promptFile === undefined)
    throw new FtError("config", "one prompt is needed", "give either --prompt TEXT or --prompt-file FILE");
  return readFile(promptFile, "utf8").catch((cause: unknown) => {
    throw new FtError("missing", `${promptFile} cannot be read`, "give a text file", { cause });
  });
}
