import { createRandom } from "./random.ts";
import type { Row, Task } from "./row.ts";
import { chineseTasks, translationTasks } from "./tasks/chinese.ts";
import { englishTasks } from "./tasks/english.ts";

/** Every exercise the base model is trained on. */
export const tasks: readonly Task[] = [...englishTasks, ...chineseTasks, ...translationTasks];

const totalWeight = tasks.reduce((sum, task) => sum + task.weight, 0);

/** Each task with the end of its share of 0..totalWeight. */
const shares = tasks.map((task, i) => ({
  task,
  below: tasks.slice(0, i + 1).reduce((sum, { weight }) => sum + weight, 0),
}));

const systems: Readonly<Record<Task["language"], readonly string[]>> = {
  en: ["You are a small helper.", "Answer in one line."],
  zh: ["你是小助手。", "只答一行。"],
};

/** The seed of the published base model's corpus. */
export const corpusSeed = 2024;
/** How many rows the published base model saw. */
export const corpusRows = 280_000;

/** Row `index` of the corpus of `seed`; it depends on nothing else. */
export function corpusRow(seed: number, index: number): Row {
  const random = createRandom(seed, 1, index);
  const ticket = random.below(totalWeight);
  const { task } = shares.find(({ below }) => ticket < below)!;
  const row = task.make(random);
  return random.chance(0.05) ? { ...row, system: random.pick(systems[task.language]) } : row;
}

/** Rows 0 to count - 1 of the corpus of `seed`, one by one. */
export function* corpus(seed: number, count: number): Generator<Row> {
  for (let index = 0; index < count; index++) yield corpusRow(seed, index);
}
