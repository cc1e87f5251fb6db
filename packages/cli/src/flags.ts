import { type Command, InvalidArgumentError, Option } from "commander";
import { type FlagSpec, flagSpecs, parseConfig } from "./config/schema.ts";
import type { PartialConfig } from "./config/train-config.ts";
import { usualValue } from "./config/usual.ts";
import { number, oneOf } from "./flag-values.ts";

/** A switch without a word, also before a configuration file, is true. */
export function withSwitches(args: readonly string[]): string[] {
  const switches = new Set(flagSpecs().flatMap(({ flag, kind }) => (kind === "switch" ? flag : [])));
  const isWord = (next: string | undefined): boolean =>
    next !== undefined && !next.startsWith("-") && !/\.(ya?ml|json)$/.test(next);
  return args.map((arg, i) => (switches.has(arg) && !isWord(args[i + 1]) ? `${arg}=true` : arg));
}

/** Gives `train` a flag for every configuration key. */
export function addConfigFlags(command: Command): void {
  for (const { path, flag, kind, choices, description } of flagSpecs()) {
    const usual = usualValue(path);
    const help = usual === undefined ? description : `${description} (default: ${usual})`;
    const value = kind === "boolean" ? "" : kind === "switch" ? " [value]" : " <value>";
    const option = new Option(`${flag}${value}`, help);
    if (choices) oneOf(option, choices);
    else if (kind === "number") option.argParser(number);
    else if (kind === "list")
      option.argParser((text) => (text.includes(",") ? text.split(",").map((name) => name.trim()) : text));
    else if (kind === "json") option.argParser(parseJson);
    command.addOption(option);
    if (kind === "boolean" || kind === "switch")
      command.addOption(new Option(flag.replace("--", "--no-"), "").hideHelp());
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('JSON is needed, such as {"q_proj": 4}.');
  }
}

/** A switch's "true" and "false" as such. */
function meant(kind: FlagSpec["kind"], value: unknown): unknown {
  return kind === "switch" && (value === "true" || value === "false") ? value === "true" : value;
}

/** The configuration that the flags given on the command line make; flags not given are absent. */
export function configFromFlags(command: Command): PartialConfig {
  const given: Record<string, unknown> = {};
  const groups: Record<string, Record<string, unknown>> = {};
  for (const { path, flag, kind } of flagSpecs()) {
    const name = new Option(flag).attributeName();
    if (command.getOptionValueSource(name) !== "cli") continue;
    const [first = "", inner] = path;
    const value = meant(kind, command.getOptionValue(name));
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
