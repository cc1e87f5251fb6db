import { FtError } from "@ft/tensor";

/** Who speaks: the four roles that chat templates know. */
export type Role = "system" | "user" | "assistant" | "tool";

/** One message of a chat, as templates read it. */
export interface Message {
  readonly role: Role;
  readonly content: string;
}

/** A message together with whether its tokens are learnt. Only assistant messages are ever trained. */
export interface TrainingMessage extends Message {
  readonly train: boolean;
}

/** Where a row came from: the file as the user named it, and the line (JSONL) or the place in the array (JSON), from 1. */
export interface RowSource {
  readonly file: string;
  readonly row: number;
}

/** One row of a data set in the only form the rest of the package knows: a chat with at least one assistant message. */
export interface Conversation {
  readonly messages: readonly TrainingMessage[];
  readonly source: RowSource;
}

/** "row 17 of chats.jsonl", the way every message of this package names a row. */
export function describeSource(source: RowSource): string {
  return `row ${source.row} of ${source.file}`;
}

/** An error of code "data" that names the row it is about. */
export function rowError(source: RowSource, problem: string, hint: string): FtError {
  return new FtError("data", `${describeSource(source)}: ${problem}`, hint);
}

/** How a JSON value is called in messages: "an object", "a number", "null". */
export function describeValue(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "an array";
  const type = typeof value;
  return type === "object" ? "an object" : `a ${type}`;
}

/** True for what JSON calls an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
