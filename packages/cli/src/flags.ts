import { type Command, InvalidArgumentError, Option } from "commander";
import { flagSpecs, parseConfig } from "./config/schema.ts";
import type { PartialConfig } from "./config/train-config.ts";
import { usualValue } from "./config/usual.ts";
import { number } from "./flag-values.ts";

/** Gives `train` a flag for every configuration key. */
export function addConfigFlags(command: Command): void {
  for (const { path, flag, kind, choices, description } of flagSpecs()) {
    const usual = usualValue(path);
    const help = usual === undefined ? description : `${description} (default: ${usual})`;
    const option = new Option(kind === "boolean" ? flag : `${flag} <value>`, help);
    if (choices) option.choices([...choices]);
    else if (kind === "number") option.argParser(number);
    else if (kind === "list")
      option.argParser((text) => (text.includes(",") ? text.split(",").map((name) => name.trim()) : text));
    else if (kind === "json") option.argParser(parseJson);
    command.addOption(option);
    if (kind === "boolean") command.addOption(new Option(flag.replace("--", "--no-"), "").hideHelp());
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('JSON is needed, such as {"q_proj": 4}.');
  }
}

/** The configuration that the flags given on the command line make; flags not given are absent. */
export function configFromFlags(command: Command): PartialConfig {
  const given: Record<string, unknown> = {};
  const groups: Record<string, Record<string, unknown>> = {};
  for (const { path, flag } of flagSpecs()) {
    const name = new Option(flag).attributeName();
    if (command.getOptionValueSource(name) !== "cli") continue;
    const [first = "", inner] = path;
    const value: unknown = command.getOptionValue(name);
    if (inner === undefined) given[first] = value;
    else {
      groups[first] ??= {};
      // a name or path alone, as a list in a file would be; "all-linear" and expressions stay what they are
      const single = typeof value === "string" && /^[\w.]+$/.test(value) && inner.endsWith("Modules");
      groups[first][inner] = single ? [value] : value;
    }
  }
  return parseConfig({ ...given, ...groups }, "the command line");
}
