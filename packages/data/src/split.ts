import { FtError, philoxPermutation } from "@ft/tensor";
import type { Message } from "./rows/conversation.ts";

/** How much to hold out: a fraction of the rows or a number of rows. */
export type SplitOptions = { readonly seed: number } & (
  | { readonly fraction: number; readonly count?: never }
  | { readonly count: number; readonly fraction?: never }
);

/** Random stream of the split, apart from those of shuffling and dropout. */
const splitStream = 0x5350_4c54;

/**
 * Splits rows once, by seed, into those to train on and those held out. Rows that ask the same thing (same user text after
 * normalising case, width and white space) stay together, so that no held-out question was seen in training. Both sides
 * keep the order of the rows.
 * @returns held-out rows up to the number asked for; fewer only where a group of equal questions would not fit
 * @throws FtError "config" for a size that leaves one side empty; "data" where all rows ask the same thing
 */
export function splitRows<Row extends { readonly messages: readonly Message[] }>(
  rows: readonly Row[],
  options: SplitOptions,
): { train: Row[]; heldOut: Row[] } {
  // a fraction holds out at least one row, however few there are, unless it is 0
  const wanted =
    options.count ??
    (options.fraction > 0 ? Math.max(1, Math.round(options.fraction * rows.length)) : options.fraction);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted >= rows.length) {
    const asked = options.count === undefined ? `a fraction of ${options.fraction}` : `${options.count} rows`;
    throw new FtError(
      "config",
      `cannot hold out ${asked} of ${rows.length} rows`,
      "leave at least one row on each side",
    );
  }
  const groups = groupByQuestion(rows);
  if (groups.length === 1) {
    throw new FtError("data", `all ${rows.length} rows ask the same thing`, "a held-out set needs different questions");
  }
  const order = Array.from(philoxPermutation(groups.length, options.seed, splitStream, 0), (i) => groups[i] ?? []);
  const heldOut = new Set<number>();
  for (const group of order) {
    if (heldOut.size + group.length <= wanted) for (const row of group) heldOut.add(row);
  }
  if (heldOut.size === 0) {
    const smallest = order.reduce((least, group) => (group.length < least.length ? group : least));
    for (const row of smallest) heldOut.add(row);
  }
  return {
    train: rows.filter((_, i) => !heldOut.has(i)),
    heldOut: rows.filter((_, i) => heldOut.has(i)),
  };
}

function groupByQuestion(rows: readonly { readonly messages: readonly Message[] }[]): number[][] {
  const groups = new Map<string, number[]>();
  rows.forEach((row, i) => {
    const key = questionKey(row.messages);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [i]);
    else group.push(i);
  });
  return [...groups.values()];
}

/** What a chat asks first: its user and tool text before the first answer, or everything before it where there is none. */
export function questionKey(messages: readonly Message[]): string {
  const answer = messages.findIndex((message) => message.role === "assistant");
  const before = answer === -1 ? messages : messages.slice(0, answer);
  const asked = before.filter((message) => message.role === "user" || message.role === "tool");
  const key = (asked.length > 0 ? asked : before).map((message) => message.content).join("\n");
  return (key.trim() === "" ? messages.map((message) => message.content).join("\n") : key)
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\s+/g, " ")
    .trim();
}
