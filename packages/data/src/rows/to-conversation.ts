import { alpacaConversation } from "./alpaca.ts";
import { type Conversation, describeValue, isRecord, type RowSource, rowError } from "./conversation.ts";
import { messagesConversation } from "./messages.ts";

/**
 * Reads one parsed row, whichever format it is in: an object with `messages`, a bare array of messages, or Alpaca's
 * `instruction` / `output`.
 * @param source names the row in messages
 * @throws FtError "data" naming the row and the field
 */
export function toConversation(row: unknown, source: RowSource): Conversation {
  if (Array.isArray(row)) return messagesConversation(row, source);
  if (!isRecord(row)) {
    throw rowError(
      source,
      `is ${describeValue(row)}, not an object`,
      "each row is a JSON object, see the data formats",
    );
  }
  if ("messages" in row) return messagesConversation(row.messages, source);
  if ("instruction" in row || "output" in row) return alpacaConversation(row, source);
  const keys = Object.keys(row)
    .slice(0, 6)
    .map((key) => JSON.stringify(key));
  const found = keys.length === 0 ? "is an empty object" : `has the fields ${keys.join(", ")}`;
  const hint = `a row needs "messages" (OpenAI) or "instruction" and "output" (Alpaca)`;
  throw rowError(source, found, hint);
}
