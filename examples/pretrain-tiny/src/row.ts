import type { Random } from "./random.ts";

/** One row in Alpaca's format. */
export interface Row {
  instruction: string;
  input: string;
  output: string;
  system?: string;
}

/** The languages of the corpus. */
export type Language = "en" | "zh";

/** A kind of exercise in one language; `weight` is how often it comes up, relative to the others. */
export interface Task {
  name: string;
  language: Language;
  weight: number;
  make(random: Random): Row;
}
