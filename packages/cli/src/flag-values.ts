import { InvalidArgumentError, type Option } from "commander";
import { suggestValue } from "./config/suggest.ts";

/** A flag value that must be a number. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError("a number is needed.");
  return value;
}

/** A flag value that must be a whole number of at least `least`. */
export function whole(least: number): (text: string) => number {
  return (text) => {
    const value = number(text);
    if (!Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`a whole number of at least ${least} is needed.`);
    return value;
  };
}

/** A flag value that must be a part of a whole. */
export function fraction(text: string): number {
  const value = number(text);
  if (value <= 0 || value >= 1) throw new InvalidArgumentError("a number above 0 and below 1 is needed.");
  return value;
}

/** A flag whose value is one of some words; a wrong one is told which may be meant. */
export function oneOf(option: Option, choices: readonly string[]): Option {
  return option.choices([...choices]).argParser((text) => {
    if (choices.includes(text)) return text;
    const near = suggestValue(text, choices);
    const meant = near === undefined ? "" : ` Did you mean ${near}?`;
    throw new InvalidArgumentError(`Allowed choices are ${choices.join(", ")}.${meant}`);
  });
}

/** A flag that may be given several times. */
export function several(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
