import { createRandom, type Row } from "@ft/example-pretrain-tiny";
import { chineseTasks } from "./chinese.ts";
import { englishTasks } from "./english.ts";

/** Rows to learn from and rows to be asked; both go round the tasks in turn, so that every slice is a fair mixture. */
export interface QuickstartData {
  train: Row[];
  heldout: Row[];
}

const tasks = [...Object.values(englishTasks), ...Object.values(chineseTasks)];

/** The quickstart's data from `seed`. No input and no output of a held-out row occurs among the others. */
export function quickstartData(seed: number, trainRows: number, heldoutRows: number): QuickstartData {
  const seen = new Set<string>();
  const rows: Row[] = [];
  for (let index = 0; rows.length < heldoutRows + trainRows; index++) {
    // Every draw has its own stream; the task is set by the row's place, however many draws were thrown away.
    const row = tasks[rows.length % tasks.length]!(createRandom(seed, 2, index));
    if (seen.has(row.input) || seen.has(row.output)) continue;
    seen.add(row.input).add(row.output);
    rows.push(row);
  }
  return { heldout: rows.slice(0, heldoutRows), train: rows.slice(heldoutRows) };
}
