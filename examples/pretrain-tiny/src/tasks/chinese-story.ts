import * as words from "../lexicon.ts";
import type { Random } from "../random.ts";
import type { Fact, Story } from "./story.ts";

/** A family name and a given name. */
export function chineseName(random: Random): string {
  return random.pick(words.familyNames) + random.pick(words.givenNames);
}

/** A city: mostly from the list, sometimes two characters put together. */
export function chineseCity(random: Random): string {
  if (random.chance(0.8)) return random.pick(words.chineseCities);
  return random.pick(words.chineseCities).slice(0, 1) + random.pick(words.chineseCities).slice(-1);
}

/** A count of at least two: as it is written, and in digits. */
export function chineseCount(random: Random): { written: string; digits: string } {
  const value = random.chance(0.7) ? random.between(2, 12) : random.between(13, 99);
  const word = value === 2 ? "两" : words.numbers[value - 1]?.zh;
  return { written: word !== undefined && random.chance(0.7) ? word : `${value}`, digits: `${value}` };
}

const makers: readonly ((random: Random, name: string) => Fact)[] = [
  (random, name) => {
    const city = chineseCity(random);
    const form = random.pick([`${name}住在${city}。`, `${name}来自${city}。`, `${name}的家在${city}。`]);
    return { sentence: form, values: { 城市: city } };
  },
  (random, name) => {
    const job = random.pick(words.jobs).zh;
    const form = random.pick([`${name}是${job}。`, `${name}的工作是${job}。`, `${name}当了${job}。`]);
    return { sentence: form, values: { 职业: job } };
  },
  (random, name) => {
    const colour = random.pick(words.colours).zh;
    const { zh, measure } = random.pick(words.things);
    const form = random.pick([
      `${name}有一${measure}${colour}的${zh}。`,
      `${name}的${zh}是${colour}的。`,
      `${name}看见一${measure}${colour}${zh}。`,
    ]);
    return { sentence: form, values: { 颜色: colour, 东西: zh } };
  },
  (random, name) => {
    const count = chineseCount(random);
    const { zh, measure } = random.pick(words.fruits);
    const form = random.pick([
      `${name}吃了${count.written}${measure}${zh}。`,
      `${name}买了${count.written}${measure}${zh}。`,
      `${name}的桌上有${count.written}${measure}${zh}。`,
    ]);
    return { sentence: form, values: { 数字: count.digits, 水果: zh } };
  },
  (random, name) => {
    const count = chineseCount(random);
    const colour = random.pick(words.colours).zh;
    const { zh, measure } = random.pick(words.things);
    const form = random.pick([
      `${name}有${count.written}${measure}${colour}的${zh}。`,
      `${name}房里放着${count.written}${measure}${colour}${zh}。`,
    ]);
    return { sentence: form, values: { 数字: count.digits, 颜色: colour, 东西: zh } };
  },
  (random, name) => {
    const { zh, measure } = random.pick(words.animals);
    const form = random.pick([`${name}喜欢${zh}。`, `${name}画了一${measure}${zh}。`, `${zh}跑向${name}。`]);
    return { sentence: form, values: { 动物: zh } };
  },
  (random, name) => {
    const day = random.pick(words.days).zh;
    const city = chineseCity(random);
    const form = random.pick([
      `${day}${name}去${city}。`,
      `${name}${day}从${city}回来。`,
      `${name}在${city}住到${day}。`,
    ]);
    return { sentence: form, values: { 日子: day, 城市: city } };
  },
  (random, name) => {
    const friend = chineseName(random);
    const hour = random.between(1, 12);
    const form = random.pick([
      `${name}${hour}点给${friend}打电话。`,
      `${hour}点${friend}等${name}。`,
      `${name}同${friend}${hour}点唱歌。`,
    ]);
    return { sentence: form, values: { 朋友: friend, 钟点: `${hour}` } };
  },
];

/** One to `most` statements about one person, no field mentioned twice. */
export function chineseStory(random: Random, most: number): Story {
  const name = chineseName(random);
  const facts: Fact[] = [];
  const seen = new Set<string>();
  for (const make of random.sample(makers, random.between(1, most))) {
    const fact = make(random, name);
    const fields = Object.keys(fact.values);
    if (fact.values.朋友 === name || fields.some((field) => seen.has(field))) continue;
    for (const field of fields) seen.add(field);
    facts.push(fact);
  }
  if (facts.length === 0) return chineseStory(random, most);
  return { name, facts };
}

/** What a field is called in an exercise. */
export const chineseField = (field: string): string => (field === "name" ? "名字" : field);

/** Ways of asking for one field. */
export const chineseQuestions: Readonly<Record<string, (name: string) => readonly string[]>> = {
  name: () => ["这段话说的是谁？", "名字是什么？"],
  城市: () => ["是哪座城市？", "说出城市。"],
  职业: (name) => [`${name}做什么工作？`, "是什么职业？"],
  颜色: () => ["是什么颜色？", "说出颜色。"],
  东西: () => ["是什么东西？", "说出东西。"],
  数字: () => ["一共有多少？", "数字是几？"],
  水果: () => ["是什么水果？", "说出水果。"],
  动物: () => ["是什么动物？", "说出动物。"],
  日子: () => ["是哪一天？", "说出日子。"],
  朋友: (name) => [`${name}的朋友是谁？`, "说出朋友。"],
  钟点: () => ["几点钟？", "说出钟点。"],
};
