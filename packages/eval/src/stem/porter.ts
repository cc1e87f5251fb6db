/**
 * The stem of an English word in lower case, by Porter's algorithm (1980) with the extensions of NLTK's PorterStemmer, which
 * rouge_score uses: "flies" is "fli" and "dies" "die", "happy" is "happi" and "enjoy" "enjoy".
 */
export function porterStem(word: string): string {
  const irregular = irregularForms.get(word);
  if (irregular !== undefined) return irregular;
  if (word.length <= 2) return word;
  let stem = withoutPlural(word);
  stem = withoutPast(stem);
  stem = applied(stem, finalY);
  stem = longSuffix(stem);
  stem = applied(stem, step3);
  stem = applied(stem, step4);
  stem = withoutE(stem);
  return stem.endsWith("ll") && measure(stem.slice(0, -1)) > 1 ? stem.slice(0, -1) : stem;
}

const irregularForms: ReadonlyMap<string, string> = new Map([
  ...[["sky", "sky"] as const, ["skies", "sky"] as const, ["dying", "die"] as const, ["lying", "lie"] as const],
  ...[["tying", "tie"] as const, ["news", "news"] as const, ["innings", "inning"] as const],
  ...[["inning", "inning"] as const, ["outings", "outing"] as const, ["outing", "outing"] as const],
  ...[["cannings", "canning"] as const, ["canning", "canning"] as const, ["howe", "howe"] as const],
  ...[["proceed", "proceed"] as const, ["exceed", "exceed"] as const, ["succeed", "succeed"] as const],
]);

/** A suffix, what takes its place, and the condition on what stands before it. The first suffix that matches decides. */
type Rule = readonly [suffix: string, replacement: string, condition: (stem: string) => boolean];

function applied(word: string, rules: readonly Rule[]): string {
  for (const [suffix, replacement, condition] of rules) {
    if (!word.endsWith(suffix)) continue;
    const stem = word.slice(0, word.length - suffix.length);
    return condition(stem) ? stem + replacement : word;
  }
  return word;
}

const isVowel = (letter: string | undefined): boolean => letter !== undefined && "aeiou".includes(letter);

/** For each letter whether it is a consonant; a y is one unless it follows one. */
function consonants(word: string): boolean[] {
  const flags: boolean[] = [];
  for (let i = 0; i < word.length; i++) {
    const letter = word[i];
    flags.push(letter === "y" ? i === 0 || flags[i - 1] === false : !isVowel(letter));
  }
  return flags;
}

/** How many times consonants follow vowels: m in [C](VC)^m[V]. */
function measure(stem: string): number {
  const flags = consonants(stem);
  let count = 0;
  for (let i = 1; i < flags.length; i++) if (flags[i] && !flags[i - 1]) count++;
  return count;
}

const some = (stem: string): boolean => measure(stem) > 0;
const several = (stem: string): boolean => measure(stem) > 1;
const hasVowel = (stem: string): boolean => consonants(stem).includes(false);

/** Consonant, vowel, consonant other than w, x, y at the end; a vowel and a consonant are enough for a word of two. */
function endsInCvc(stem: string): boolean {
  const [first, second, third] = consonants(stem).slice(-3);
  if (stem.length === 2) return first === false && second === true;
  return first === true && second === false && third === true && !"wxy".includes(stem.at(-1) ?? "");
}

function withoutPlural(word: string): string {
  if (word.endsWith("ies")) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith("sses")) return word.slice(0, -2);
  return word.endsWith("s") && !word.endsWith("ss") ? word.slice(0, -1) : word;
}

function withoutPast(word: string): string {
  if (word.endsWith("ied")) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith("eed")) return some(word.slice(0, -3)) ? word.slice(0, -1) : word;
  const suffix = ["ed", "ing"].find((end) => word.endsWith(end) && hasVowel(word.slice(0, -end.length)));
  if (suffix === undefined) return word;
  const stem = word.slice(0, -suffix.length);
  if (/(at|bl|iz)$/.test(stem)) return `${stem}e`;
  const last = stem.at(-1) ?? "";
  if (stem.length >= 2 && last === stem.at(-2) && consonants(stem).at(-1))
    return "lsz".includes(last) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsInCvc(stem) ? `${stem}e` : stem;
}

const finalY: readonly Rule[] = [["y", "i", (stem) => stem.length > 1 && consonants(stem).at(-1) === true]];

function longSuffix(word: string): string {
  if (word.endsWith("alli") && some(word.slice(0, -4))) return longSuffix(word.slice(0, -2));
  return applied(word, step2);
}

const step2: readonly Rule[] = [
  ["ational", "ate", some],
  ["tional", "tion", some],
  ["enci", "ence", some],
  ["anci", "ance", some],
  ["izer", "ize", some],
  ["bli", "ble", some],
  ["alli", "al", some],
  ["entli", "ent", some],
  ["eli", "e", some],
  ["ousli", "ous", some],
  ["ization", "ize", some],
  ["ation", "ate", some],
  ["ator", "ate", some],
  ["alism", "al", some],
  ["iveness", "ive", some],
  ["fulness", "ful", some],
  ["ousness", "ous", some],
  ["aliti", "al", some],
  ["iviti", "ive", some],
  ["biliti", "ble", some],
  ["fulli", "ful", some],
  // its l counts as part of the stem
  ["logi", "log", (stem) => some(`${stem}l`)],
];

const step3: readonly Rule[] = [
  ["icate", "ic", some],
  ["ative", "", some],
  ["alize", "al", some],
  ["iciti", "ic", some],
  ["ical", "ic", some],
  ["ful", "", some],
  ["ness", "", some],
];

const step4: readonly Rule[] = [
  ...["al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent"].map(
    (end): Rule => [end, "", several],
  ),
  ["ion", "", (stem) => several(stem) && /[st]$/.test(stem)],
  ...["ou", "ism", "ate", "iti", "ous", "ive", "ize"].map((end): Rule => [end, "", several]),
];

function withoutE(word: string): string {
  if (!word.endsWith("e")) return word;
  const stem = word.slice(0, -1);
  const m = measure(stem);
  return m > 1 || (m === 1 && !endsInCvc(stem)) ? stem : word;
}
