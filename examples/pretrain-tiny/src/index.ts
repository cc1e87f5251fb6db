export { corpus, corpusRow, corpusRows, corpusSeed, tasks } from "./corpus.ts";
export * as lexicon from "./lexicon.ts";
export { createRandom, type Random } from "./random.ts";
export type { Language, Row, Task } from "./row.ts";
