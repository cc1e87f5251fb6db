/** A statement about somebody: the sentence, and for each field it mentions the value a short answer gives. */
export interface Fact {
  sentence: string;
  values: Record<string, string>;
}

/** A short story about one or two people, and the fields that can be asked for. */
export interface Story {
  name: string;
  facts: readonly Fact[];
}

/** All fields a story gives values for, the name among them. */
export function fieldsOf(story: Story): Record<string, string> {
  return Object.assign({ name: story.name }, ...story.facts.map((fact) => fact.values));
}

/** Syllables of invented words: what cannot be known must be copied. */
const onsets = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "sh", "tr"];
const vowels = ["a", "e", "i", "o", "u", "ai", "ou"];
const codas = ["", "", "", "n", "r", "l", "s", "m"];

/** An invented word such as "bimor"; capitalised on request. */
export function inventWord(pick: <T>(list: readonly T[]) => T, syllables: number, capital: boolean): string {
  let word = "";
  for (let i = 0; i < syllables; i++) word += pick(onsets) + pick(vowels) + pick(codas);
  return capital ? word[0]!.toUpperCase() + word.slice(1) : word;
}
