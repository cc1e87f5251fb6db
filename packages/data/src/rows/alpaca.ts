import { type Conversation, describeValue, type RowSource, rowError, type TrainingMessage } from "./conversation.ts";

/**
 * Reads one Alpaca row: `instruction`, `output`, and optionally `input`, `system` and `history` (pairs of question and answer).
 * The prompt is the instruction, and the input on the next line when there is one. Answers of the history are trained on
 * like the last one, as LLaMA-Factory does.
 * @throws FtError "data" naming the row and the field
 */
export function alpacaConversation(row: Record<string, unknown>, source: RowSource): Conversation {
  const instruction = requiredText(row, "instruction", source);
  const input = optionalText(row, "input", source);
  const output = requiredText(row, "output", source);
  const system = optionalText(row, "system", source);
  const messages: TrainingMessage[] = [];
  if (system !== "") messages.push({ role: "system", content: system, train: false });
  for (const [question, answer] of readHistory(row.history, source)) {
    messages.push(
      { role: "user", content: question, train: false },
      { role: "assistant", content: answer, train: true },
    );
  }
  messages.push(
    { role: "user", content: input === "" ? instruction : `${instruction}\n${input}`, train: false },
    { role: "assistant", content: output, train: true },
  );
  return { messages, source };
}

function requiredText(row: Record<string, unknown>, field: string, source: RowSource): string {
  const value = row[field];
  if (typeof value === "string") return value;
  const hint = `an Alpaca row needs the strings "instruction" and "output"`;
  if (value === undefined) throw rowError(source, `field "${field}" is missing`, hint);
  throw rowError(source, `field "${field}" is ${describeValue(value)}, not a string`, hint);
}

/** Absent and null mean empty: table exports write null where a cell is blank. */
function optionalText(row: Record<string, unknown>, field: string, source: RowSource): string {
  const value = row[field] ?? "";
  if (typeof value === "string") return value;
  throw rowError(source, `field "${field}" is ${describeValue(value)}, not a string`, "write text or leave it out");
}

function readHistory(value: unknown, source: RowSource): [string, string][] {
  const hint = `write "history" as [["question", "answer"], ...]`;
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw rowError(source, `field "history" is ${describeValue(value)}, not an array`, hint);
  return value.map((pair: unknown, i): [string, string] => {
    if (!Array.isArray(pair) || pair.length !== 2) {
      const found = Array.isArray(pair) ? `an array of ${pair.length}` : describeValue(pair);
      throw rowError(source, `history[${i}] is ${found}, not a pair of strings`, hint);
    }
    const [question, answer]: unknown[] = pair;
    if (typeof question === "string" && typeof answer === "string") return [question, answer];
    const wrong = typeof question === "string" ? 1 : 0;
    throw rowError(source, `history[${i}][${wrong}] is ${describeValue(pair[wrong])}, not a string`, hint);
  });
}
