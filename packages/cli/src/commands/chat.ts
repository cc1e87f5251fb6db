import { createInterface } from "node:readline/promises";
import type { Message } from "@ft/data";
import { FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { answerPieces } from "../run/answer.ts";
import { closing, openBackend } from "../run/open-backend.ts";
import { openModel } from "../run/open-model.ts";
import { resolveModel } from "../run/resolve-model.ts";
import type { GenerateFlags } from "./generate.ts";

export type ChatFlags = Omit<GenerateFlags, "prompt" | "promptFile"> & {
  /** false: every message stands alone */
  readonly history: boolean;
};

/**
 * `ft chat`: lines in, answers out, the conversation kept. /reset starts over, /exit or the end of input leaves. With
 * --json, one JSON document of the whole conversation at the end.
 */
export async function chatCommand(flags: ChatFlags, io: Io, signal: AbortSignal): Promise<void> {
  const { path: model } = await resolveModel(flags.model, "model", io, signal);
  using place = closing(await openBackend(flags.backend, { ...flags, note: io.note }));
  const { adapter, chatTemplate, dtype } = flags;
  using open = await openModel(model, { backend: place.backend, adapter, chatTemplate, dtype });
  const first: Message[] = flags.system === undefined ? [] : [{ role: "system", content: flags.system }];
  let messages = [...first];
  const lines = createInterface({ input: process.stdin, terminal: false, signal });
  const prompting = process.stdin.isTTY === true && !io.json;
  if (prompting) io.note("type a message; /reset starts over, /exit leaves");
  if (prompting) io.write("> ");
  for await (const line of lines) {
    const text = line.trim();
    if (text === "/exit") break;
    if (text === "/reset") messages = [...first];
    else if (text !== "") messages = await reply(flags.history ? messages : first, text);
    if (prompting) io.write("> ");
  }
  signal.throwIfAborted();
  io.document({ messages });

  async function reply(before: readonly Message[], text: string): Promise<Message[]> {
    const asked: Message[] = [...before, { role: "user", content: text }];
    const { maxNewTokens, temperature, topK, topP, seed } = flags;
    let content = "";
    try {
      for await (const piece of answerPieces(open, asked, { maxNewTokens, temperature, topK, topP, seed, signal })) {
        io.write(piece);
        content += piece;
      }
    } catch (error) {
      // a conversation that outgrew the context is not lost: say so and keep what there was
      if (!FtError.is(error) || error.code !== "input") throw error;
      io.note(`${error.message} (or type /reset)`);
      return [...before];
    }
    io.print("");
    return [...asked, { role: "assistant", content }];
  }
}
