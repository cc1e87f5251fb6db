import * as words from "../lexicon.ts";
import type { Random } from "../random.ts";
import type { Row, Task } from "../row.ts";
import {
  chineseCity,
  chineseCount,
  chineseField,
  chineseName,
  chineseQuestions,
  chineseStory,
} from "./chinese-story.ts";
import { fieldsOf } from "./story.ts";

const text = (story: { facts: readonly { sentence: string }[] }): string =>
  story.facts.map((fact) => fact.sentence).join("");

/** Any word at all: everyday, from the stories, or characters thrown together. */
function anyWord(random: Random): string {
  const kind = random.below(12);
  if (kind < 6) return random.pick(words.plainChinese);
  if (kind === 6) return chineseName(random);
  if (kind === 7) return chineseCity(random);
  if (kind === 8) return random.pick(words.colours).zh;
  if (kind === 9) return random.pick(random.pick([words.things, words.fruits, words.animals])).zh;
  if (kind === 10) return random.pick([...words.jobs, ...words.days]).zh;
  return Array.from({ length: random.between(1, 3) }, () => random.pick([...random.pick(words.plainChinese)])).join("");
}

const phrase = (random: Random, low: number, high: number): string[] =>
  Array.from({ length: random.between(low, high) }, () => anyWord(random));

const separators: readonly { name: string; sign: string }[] = [
  { name: "逗号", sign: "，" },
  { name: "斜线", sign: "/" },
  { name: "顿号", sign: "、" },
  { name: "分号", sign: "；" },
  { name: "星号", sign: "*" },
];

/** Sentences with gaps; the word in a gap says what goes there. */
const gaps: readonly string[] = [
  "我的朋友NAME今天去了CITY。",
  "我又把THING给了NAME。",
  "请告诉NAME，THING在这里。",
  "ANIMAL和ANIMAL都在屋里。",
  "谢谢你的THING，NAME说。",
  "我们在THING旁边看见了NAME。",
  "在CITY我认识了一位JOB。",
  "CITY里没有人知道NAME。",
  "CITY比CITY大吗？",
  "早上好，NAME，这是你的THING。",
  "总有一天我会买COLOUR的THING。",
];

const fillers: Readonly<Record<string, (random: Random) => string>> = {
  NAME: chineseName,
  CITY: chineseCity,
  THING: (random) => random.pick([...words.things, ...words.fruits]).zh,
  ANIMAL: (random) => random.pick(words.animals).zh,
  JOB: (random) => random.pick(words.jobs).zh,
  COLOUR: (random) => random.pick(words.colours).zh,
};

const kinds: readonly { kind: string; list: readonly string[] }[] = [
  { kind: "水果", list: words.fruits.map((noun) => noun.zh) },
  { kind: "动物", list: words.animals.map((noun) => noun.zh) },
  { kind: "东西", list: words.things.map((noun) => noun.zh) },
  { kind: "颜色", list: words.colours.map((pair) => pair.zh) },
  { kind: "职业", list: words.jobs.map((pair) => pair.zh) },
  { kind: "日子", list: words.days.map((pair) => pair.zh) },
  { kind: "城市", list: words.chineseCities },
];

const task = (name: string, weight: number, make: (random: Random) => Row): Task => ({
  name: `zh-${name}`,
  language: "zh",
  weight,
  make,
});

/** The Chinese exercises. */
export const chineseTasks: readonly Task[] = [
  task("repeat", 4, (random) => {
    const line = random.chance(0.25)
      ? Array.from({ length: random.between(2, 5) }, () => random.pick(words.signs) + anyWord(random)).join("")
      : phrase(random, 1, 6).join(random.pick(["", "", " "]));
    return { instruction: random.pick(["重复这句。", "再说一遍。", "照抄一行。"]), input: line, output: line };
  }),
  task("question", 4, (random) => {
    const story = chineseStory(random, 3);
    const [field, value] = random.pick(Object.entries(fieldsOf(story)));
    return { instruction: random.pick(chineseQuestions[field]!(story.name)), input: text(story), output: value };
  }),
  task("fields", 6, (random) => {
    const story = chineseStory(random, 3);
    const chosen = random.sample(Object.entries(fieldsOf(story)), random.between(2, 4));
    const separator = random.pick(separators);
    const asked = chosen.map(([field]) => chineseField(field)).join("、");
    return {
      instruction: random.pick([
        `用${separator.name}写出：${asked}。`,
        `写${asked}，用${separator.name}。`,
        `找出${asked}，中间放${separator.name}。`,
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
      instruction: random.pick(["填空。", "把词填进去。", "补全句子。"]),
      input: `${fills.join("+")}：${form.replace(/[A-Z]{2,}/g, "_")}`,
      output: form.replace(/[A-Z]{2,}/g, () => fills[at++]!),
    };
  }),
  task("replace", 3, (random) => {
    const story = chineseStory(random, 2);
    const before = random.pick(Object.values(fieldsOf(story)).filter((value) => text(story).includes(value)));
    const after = anyWord(random);
    return {
      instruction: random.pick([`把${before}换成${after}。`, `${before}改为${after}。`]),
      input: text(story),
      output: text(story).replaceAll(before, after),
    };
  }),
  task("swap", 2, (random) => {
    const [one, two] = [anyWord(random), anyWord(random)];
    return { instruction: random.pick(["前后对调。", "换个位置。"]), input: `${one} ${two}`, output: `${two} ${one}` };
  }),
  task("quote", 2, (random) => {
    const [open, close, sign] = random.pick([
      ["“", "”", "双引号"],
      ["（", "）", "圆括号"],
      ['"', '"', "直引号"],
      ["《", "》", "书名号"],
    ] as const);
    const line = phrase(random, 1, 4);
    return {
      instruction: `每个词加${sign}。`,
      input: line.join(" "),
      output: line.map((word) => open + word + close).join(""),
    };
  }),
  task("pick", 3, (random) => {
    const line = phrase(random, 2, 5);
    const place = random.below(3);
    const at = place === 0 ? 0 : place === 1 ? 1 : line.length - 1;
    return {
      instruction: `${random.pick(["写出", "取", "要"])}${["第一个", "第二个", "最后一个"][place]}词。`,
      input: line.join(" "),
      output: line[at]!,
    };
  }),
  task("list", 2, (random) => {
    const line = phrase(random, 2, 4);
    const separator = random.pick(separators);
    return {
      instruction: `用${separator.name}连起来。`,
      input: `${line.slice(0, -1).join("、")}和${line.at(-1)}`,
      output: line.join(separator.sign),
    };
  }),
  task("kind", 2, (random) => {
    const { kind, list } = random.pick(kinds);
    return { instruction: random.pick(["这是什么？", "哪一类词？"]), input: random.pick(list), output: kind };
  }),
  task("which", 2, (random) => {
    const [right, ...others] = random.sample(kinds, 3);
    const wanted = random.pick(right!.list);
    const offered = random.sample([wanted, ...others.map(({ list }) => random.pick(list))], 3);
    return { instruction: `哪个是${right!.kind}？`, input: offered.join("、"), output: wanted };
  }),
  task("digits", 2, (random) => {
    const index = random.below(words.numbers.length);
    const noun = random.pick([...words.things, ...words.fruits, ...words.animals]);
    const word = index === 1 ? "两" : words.numbers[index]!.zh;
    const rest = noun.measure + noun.zh;
    return random.chance(0.5)
      ? { instruction: "数字写成阿拉伯数字。", input: word + rest, output: `${index + 1}${rest}` }
      : { instruction: "数字写成汉字。", input: `${index + 1}${rest}`, output: word + rest };
  }),
  task("larger", 2, (random) => {
    const count = (): string => chineseCount(random).digits;
    const [one, two] = [count(), count()];
    const larger = random.chance(0.5);
    const [low, high] = [Math.min(+one, +two), Math.max(+one, +two)];
    return { instruction: `哪个数${larger ? "大" : "小"}？`, input: `${one} ${two}`, output: `${larger ? high : low}` };
  }),
  task("true", 2, (random) => {
    const story = chineseStory(random, 2);
    const [field, value] = random.pick(Object.entries(fieldsOf(story)));
    const other = fieldsOf(chineseStory(random, 3))[field];
    const claimed = other !== undefined && random.chance(0.7) ? other : value;
    return {
      instruction: `${chineseField(field)}是${claimed}吗？`,
      input: text(story),
      output: claimed === value ? "是" : `不，是${value}`,
    };
  }),
];

/** Exercises between the two languages. */
export const translationTasks: readonly Task[] = (["en", "zh"] as const).map((to) => ({
  name: `to-${to}`,
  language: to,
  weight: 3,
  make(random) {
    const from = to === "en" ? "zh" : "en";
    const colour = random.pick(words.colours);
    const noun = random.pick([...words.things, ...words.fruits, ...words.animals]);
    const whole = random.pick([
      colour,
      noun,
      random.pick(words.jobs),
      random.pick(words.days),
      random.pick(words.numbers),
      null,
    ]);
    const say = (language: "en" | "zh"): string =>
      whole?.[language] ?? (language === "en" ? `${colour.en} ${noun.en}` : `${colour.zh}${noun.zh}`);
    return { instruction: to === "en" ? "Say it in English." : "用中文说。", input: say(from), output: say(to) };
  },
}));
