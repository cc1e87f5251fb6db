import * as words from "../lexicon.ts";
import type { Random } from "../random.ts";
import type { Row, Task } from "../row.ts";
import { englishCity, englishCount, englishName, englishQuestions, englishStory } from "./english-story.ts";
import { fieldsOf, inventWord } from "./story.ts";

const text = (story: { facts: readonly { sentence: string }[] }): string =>
  story.facts.map((fact) => fact.sentence).join(" ");

/** Any word at all: everyday, from the stories, or invented. */
function anyWord(random: Random): string {
  const kind = random.below(12);
  if (kind < 6) {
    const word = random.pick(words.plainEnglish);
    return random.chance(0.15) ? word[0]!.toUpperCase() + word.slice(1) : word;
  }
  if (kind === 6) return englishName(random);
  if (kind === 7) return englishCity(random);
  if (kind === 8) return random.pick(words.colours).en;
  if (kind === 9)
    return random.pick(random.pick([words.things, words.fruits, words.animals]))[
      random.pick(["en", "plural"] as const)
    ];
  if (kind === 10) return random.pick([...words.jobs, ...words.days]).en;
  return inventWord(random.pick, random.between(1, 3), false);
}

const phrase = (random: Random, low: number, high: number): string[] =>
  Array.from({ length: random.between(low, high) }, () => anyWord(random));

const separators: readonly { name: string; sign: string }[] = [
  { name: "a comma", sign: ", " },
  { name: "a slash", sign: " / " },
  { name: "a dash", sign: " - " },
  { name: "a semicolon", sign: "; " },
  { name: "a star", sign: " * " },
];

/** Sentences with gaps; the word in a gap says what goes there. */
const gaps: readonly string[] = [
  "My friend NAME went to CITY today.",
  "I gave the THING to NAME again.",
  "Please tell NAME that the THING is here.",
  "The ANIMAL and the ANIMAL are in the house.",
  "Thank you for the THING, said NAME.",
  "We saw NAME near the old THING.",
  "In CITY I met a JOB.",
  "Nobody in CITY knows NAME.",
  "Is CITY bigger than CITY or not?",
  "Good morning, NAME, here is your THING.",
  "One day it will be time for a COLOUR THING.",
  "Its way to CITY was long, but it will come back to NAME.",
];

const fillers: Readonly<Record<string, (random: Random) => string>> = {
  NAME: englishName,
  CITY: englishCity,
  THING: (random) => random.pick([...words.things, ...words.fruits]).en,
  ANIMAL: (random) => random.pick(words.animals).en,
  JOB: (random) => random.pick(words.jobs).en,
  COLOUR: (random) => random.pick(words.colours).en,
};

const kinds: readonly { kind: string; list: readonly string[] }[] = [
  { kind: "fruit", list: words.fruits.map((noun) => noun.en) },
  { kind: "animal", list: words.animals.map((noun) => noun.en) },
  { kind: "thing", list: words.things.map((noun) => noun.en) },
  { kind: "colour", list: words.colours.map((pair) => pair.en) },
  { kind: "job", list: words.jobs.map((pair) => pair.en) },
  { kind: "day", list: words.days.map((pair) => pair.en) },
  { kind: "city", list: words.englishCities },
  { kind: "name", list: words.englishNames },
];

const task = (name: string, weight: number, make: (random: Random) => Row): Task => ({
  name: `en-${name}`,
  language: "en",
  weight,
  make,
});

/** The English exercises. */
export const englishTasks: readonly Task[] = [
  task("repeat", 4, (random) => {
    const line = random.chance(0.25)
      ? Array.from({ length: random.between(2, 5) }, () => random.pick(words.signs) + anyWord(random)).join(" ")
      : phrase(random, 1, 7).join(" ");
    return { instruction: random.pick(["Repeat this.", "Say it again.", "Copy the line."]), input: line, output: line };
  }),
  task("question", 4, (random) => {
    const story = englishStory(random, 3);
    const [field, value] = random.pick(Object.entries(fieldsOf(story)));
    return { instruction: random.pick(englishQuestions[field]!(story.name)), input: text(story), output: value };
  }),
  task("fields", 6, (random) => {
    const story = englishStory(random, 3);
    const chosen = random.sample(Object.entries(fieldsOf(story)), random.between(2, 4));
    const separator = random.pick(separators);
    const asked = chosen.map(([field]) => field).join(", ");
    return {
      instruction: random.pick([
        `Write with ${separator.name}: ${asked}.`,
        `Give ${asked}. Use ${separator.name}.`,
        `Find ${asked} and put ${separator.name} between them.`,
      ]),
      input: text(story),
      output: chosen.map(([, value]) => value).join(separator.sign),
    };
  }),
  task("gaps", 5, (random) => {
    const form = random.pick(gaps);
    const fills = (form.match(/[A-Z]{2,}/g) ?? []).map((gap) => fillers[gap]!(random));
    let at = 0;
    return {
      instruction: random.pick(["Fill the gaps.", "Put the words into the gaps.", "Complete the text."]),
      input: `${fills.join(" + ")}: ${form.replace(/[A-Z]{2,}/g, "_")}`,
      output: form.replace(/[A-Z]{2,}/g, () => fills[at++]!),
    };
  }),
  task("replace", 3, (random) => {
    const story = englishStory(random, 2);
    const before = random.pick(text(story).replace(/\./g, "").split(" "));
    const after = anyWord(random);
    return {
      instruction: random.pick([`Replace ${before} with ${after}.`, `Write ${after} for ${before}.`]),
      input: text(story),
      output: text(story).replace(new RegExp(`\\b${before}\\b`, "g"), after),
    };
  }),
  task("swap", 2, (random) => {
    const [one, two] = [anyWord(random), anyWord(random)];
    return {
      instruction: random.pick(["Swap the two.", "Turn them round."]),
      input: `${one} ${two}`,
      output: `${two} ${one}`,
    };
  }),
  task("quote", 2, (random) => {
    const [open, close, sign] = random.pick([
      ['"', '"', "quotes"],
      ["(", ")", "round brackets"],
      ["<", ">", "pointed brackets"],
    ] as const);
    const line = phrase(random, 1, 4);
    return {
      instruction: `Put every word in ${sign}.`,
      input: line.join(" "),
      output: line.map((word) => open + word + close).join(" "),
    };
  }),
  task("pick", 3, (random) => {
    const line = phrase(random, 2, 5);
    const place = random.below(3);
    const at = place === 0 ? 0 : place === 1 ? 1 : line.length - 1;
    return {
      instruction: `${random.pick(["Give", "Write", "Take"])} the ${["first", "second", "last"][place]} word.`,
      input: line.join(" "),
      output: line[at]!,
    };
  }),
  task("list", 2, (random) => {
    const line = phrase(random, 2, 4);
    const separator = random.pick(separators);
    return {
      instruction: `Join the words with ${separator.name}.`,
      input: `${line.slice(0, -1).join(", ")} and ${line.at(-1)}`,
      output: line.join(separator.sign),
    };
  }),
  task("kind", 2, (random) => {
    const { kind, list } = random.pick(kinds);
    return {
      instruction: random.pick(["What is this?", "What kind of word is it?"]),
      input: random.pick(list),
      output: kind,
    };
  }),
  task("which", 2, (random) => {
    const [right, ...others] = random.sample(kinds, 3);
    const wanted = random.pick(right!.list);
    const offered = random.sample([wanted, ...others.map(({ list }) => random.pick(list))], 3);
    return { instruction: `Which word is a ${right!.kind}?`, input: offered.join(", "), output: wanted };
  }),
  task("digits", 2, (random) => {
    const index = random.below(words.numbers.length);
    const word = words.numbers[index]!.en;
    const noun = random.pick([...words.things, ...words.fruits, ...words.animals]);
    const things = index === 0 ? noun.en : noun.plural;
    return random.chance(0.5)
      ? { instruction: "Write the number in digits.", input: `${word} ${things}`, output: `${index + 1} ${things}` }
      : { instruction: "Write the number as a word.", input: `${index + 1} ${things}`, output: `${word} ${things}` };
  }),
  task("singular", 1, (random) => {
    const noun = random.pick([...words.things, ...words.fruits, ...words.animals]);
    const { written } = englishCount(random);
    return { instruction: "Now only one.", input: `${written} ${noun.plural}`, output: `one ${noun.en}` };
  }),
  task("larger", 2, (random) => {
    const [low, high] = random
      .sample(
        Array.from({ length: 99 }, (_, i) => i + 1),
        2,
      )
      .sort((a, b) => a - b);
    const larger = random.chance(0.5);
    const offered = random.chance(0.5) ? `${low} ${high}` : `${high} ${low}`;
    return {
      instruction: `Which is ${larger ? "larger" : "smaller"}?`,
      input: offered,
      output: `${larger ? high : low}`,
    };
  }),
  task("true", 2, (random) => {
    const story = englishStory(random, 2);
    const [field, value] = random.pick(Object.entries(fieldsOf(story)));
    const other = fieldsOf(englishStory(random, 3))[field];
    const claimed = other !== undefined && random.chance(0.7) ? other : value;
    return {
      instruction: `Is ${claimed} the ${field}?`,
      input: text(story),
      output: claimed === value ? "yes" : `no, ${value}`,
    };
  }),
];
