import {
  type Conversation,
  describeValue,
  isRecord,
  type Role,
  type RowSource,
  rowError,
  type TrainingMessage,
} from "./conversation.ts";

const roles: readonly string[] = ["system", "user", "assistant", "tool"] satisfies Role[];

function isRole(value: unknown): value is Role {
  return typeof value === "string" && roles.includes(value);
}

/**
 * Reads OpenAI messages: `{role, content, weight?}` with role system, user, assistant or tool. Every assistant message is
 * trained on unless its `weight` is 0. Content is a string or a list of `{type: "text", text}` parts, which are joined.
 * @throws FtError "data" naming the row, the message and the field
 */
export function messagesConversation(value: unknown, source: RowSource): Conversation {
  if (!Array.isArray(value)) {
    throw rowError(source, `"messages" is ${describeValue(value)}, not an array`, "write it as [{role, content}, ...]");
  }
  const messages = value.map((message: unknown, i) => readMessage(message, i, source));
  if (!messages.some((message) => message.role === "assistant")) {
    throw rowError(source, "no message has the role assistant", "add the answer to learn, or remove the row");
  }
  return { messages, source };
}

function readMessage(message: unknown, i: number, source: RowSource): TrainingMessage {
  const where = `messages[${i}]`;
  const shape = `each message is {"role": ..., "content": ...}`;
  if (!isRecord(message)) throw rowError(source, `${where} is ${describeValue(message)}, not an object`, shape);
  const role = message.role;
  if (!isRole(role)) {
    const found = typeof role === "string" ? JSON.stringify(role) : describeValue(role);
    throw rowError(source, `${where}.role is ${found}`, `use one of ${roles.join(", ")}`);
  }
  const content = readContent(message.content, `${where}.content`, source, shape);
  const weight = message.weight;
  if (weight === undefined || weight === null) return { role, content, train: role === "assistant" };
  if (weight !== 0 && weight !== 1) {
    const found = typeof weight === "number" ? String(weight) : describeValue(weight);
    throw rowError(source, `${where}.weight is ${found}`, "use 0 (not trained) or 1 (trained)");
  }
  if (weight === 1 && role !== "assistant") {
    throw rowError(source, `${where}.weight is 1 on a ${role} message`, "only assistant messages are trained");
  }
  return { role, content, train: weight === 1 };
}

function readContent(value: unknown, where: string, source: RowSource, shape: string): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) throw rowError(source, `${where} is ${describeValue(value)}, not a string`, shape);
  return value
    .map((part: unknown, i) => {
      if (isRecord(part) && part.type === "text" && typeof part.text === "string") return part.text;
      const problem = `${where}[${i}] is not a text part`;
      throw rowError(source, problem, `only {"type": "text", "text": ...} parts can be trained on`);
    })
    .join("");
}
