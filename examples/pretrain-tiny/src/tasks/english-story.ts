import * as words from "../lexicon.ts";
import type { Random } from "../random.ts";
import { type Fact, inventWord, type Story } from "./story.ts";

/** "a" or "an", by the first letter. */
const article = (word: string): string => (/^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`);

/** A name: mostly from the list, sometimes invented. */
export function englishName(random: Random): string {
  return random.chance(0.2) ? inventWord(random.pick, 2, true) : random.pick(words.englishNames);
}

/** A city: mostly from the list, sometimes invented. */
export function englishCity(random: Random): string {
  return random.chance(0.15) ? inventWord(random.pick, 2, true) : random.pick(words.englishCities);
}

/** A count of at least two: as it is written, and in digits. */
export function englishCount(random: Random): { written: string; digits: string } {
  const value = random.chance(0.7) ? random.between(2, 12) : random.between(13, 99);
  const word = words.numbers[value - 1]?.en;
  return { written: word !== undefined && random.chance(0.7) ? word : `${value}`, digits: `${value}` };
}

const makers: readonly ((random: Random, name: string) => Fact)[] = [
  (random, name) => {
    const city = englishCity(random);
    const form = random.pick([
      `${name} lives in ${city}.`,
      `${name} comes from ${city}.`,
      `The home of ${name} is ${city}.`,
      `${name} has a house in ${city}.`,
    ]);
    return { sentence: form, values: { city } };
  },
  (random, name) => {
    const job = random.pick(words.jobs).en;
    const form = random.pick([
      `${name} is ${article(job)}.`,
      `${name} works as ${article(job)}.`,
      `The job of ${name} is ${job}.`,
    ]);
    return { sentence: form, values: { job } };
  },
  (random, name) => {
    const colour = random.pick(words.colours).en;
    const thing = random.pick(words.things).en;
    const form = random.pick([
      `${name} has a ${colour} ${thing}.`,
      `The ${thing} of ${name} is ${colour}.`,
      `${name} sees a ${colour} ${thing}.`,
      `${name} lost the ${colour} ${thing}.`,
    ]);
    return { sentence: form, values: { colour, thing } };
  },
  (random, name) => {
    const count = englishCount(random);
    const fruit = random.pick(words.fruits);
    const form = random.pick([
      `${name} eats ${count.written} ${fruit.plural}.`,
      `${name} bought ${count.written} ${fruit.plural}.`,
      `There are ${count.written} ${fruit.plural} on the desk of ${name}.`,
    ]);
    return { sentence: form, values: { number: count.digits, fruit: fruit.en } };
  },
  (random, name) => {
    const count = englishCount(random);
    const colour = random.pick(words.colours).en;
    const thing = random.pick(words.things);
    const form = random.pick([
      `${name} owns ${count.written} ${colour} ${thing.plural}.`,
      `In the room of ${name} are ${count.written} ${colour} ${thing.plural}.`,
    ]);
    return { sentence: form, values: { number: count.digits, colour, thing: thing.en } };
  },
  (random, name) => {
    const animal = random.pick(words.animals);
    const form = random.pick([
      `${name} likes the ${animal.en}.`,
      `${name} draws ${article(animal.en)}.`,
      `The ${animal.en} runs to ${name}.`,
    ]);
    return { sentence: form, values: { animal: animal.en } };
  },
  (random, name) => {
    const day = random.pick(words.days).en;
    const city = englishCity(random);
    const form = random.pick([
      `On ${day} ${name} goes to ${city}.`,
      `${name} comes back from ${city} on ${day}.`,
      `${name} will be in ${city} until ${day}.`,
    ]);
    return { sentence: form, values: { day, city } };
  },
  (random, name) => {
    const friend = englishName(random);
    const hour = random.between(1, 12);
    const form = random.pick([
      `${name} calls ${friend} at ${hour}.`,
      `At ${hour} ${friend} waits for ${name}.`,
      `${name} and ${friend} sing at ${hour}.`,
    ]);
    return { sentence: form, values: { friend, hour: `${hour}` } };
  },
];

/** One to `most` statements about one person, no field mentioned twice. */
export function englishStory(random: Random, most: number): Story {
  const name = englishName(random);
  const facts: Fact[] = [];
  const seen = new Set<string>();
  for (const make of random.sample(makers, random.between(1, most))) {
    const fact = make(random, name);
    const fields = Object.keys(fact.values);
    if (fact.values.friend === name || fields.some((field) => seen.has(field))) continue;
    for (const field of fields) seen.add(field);
    facts.push(fact);
  }
  if (facts.length === 0) return englishStory(random, most);
  return { name, facts };
}

/** Ways of asking for one field. */
export const englishQuestions: Readonly<Record<string, (name: string) => readonly string[]>> = {
  name: () => ["Who is the text about?", "What is the name?"],
  city: () => ["Which city is it?", "Name the city."],
  job: (name) => [`What is the job of ${name}?`, "Which job is it?"],
  colour: () => ["Which colour is it?", "Name the colour."],
  thing: () => ["Which thing is it?", "Name the thing."],
  number: () => ["How many are there?", "What is the number?"],
  fruit: () => ["Which fruit is it?", "Name the fruit."],
  animal: (name) => [`Which animal does ${name} know?`, "Name the animal."],
  day: () => ["Which day is it?", "Name the day."],
  friend: (name) => [`Who is the friend of ${name}?`, "Name the friend."],
  hour: () => ["What is the hour?", "Name the hour."],
};
