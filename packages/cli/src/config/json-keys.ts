import { FtError } from "@ft/tensor";

/** What a number may be; from 0 where nothing is said. */
export interface NumberRange {
  readonly min?: number;
  readonly above?: number;
  readonly below?: number;
  readonly whole?: boolean;
}

/** A JSON object read by dotted paths; it checks types, and knows in the end what nobody asked for. */
export class JsonKeys {
  readonly file: string;
  readonly #json: object;
  readonly #asked = new Set<string>();

  /** Throws unless `json` is an object. */
  constructor(json: unknown, file: string) {
    if (!isObject(json)) throw new FtError("config", `${file} holds no JSON object`, 'expected {"key": value, ...}');
    this.file = file;
    this.#json = json;
  }

  /** Absent, null and "auto" are undefined. */
  number(path: string, range: NumberRange = {}): number | undefined {
    const value = this.#value(path);
    if (value === undefined || isWithin(value, range)) return value;
    throw this.wrong(path, `${showRange(range)}, or "auto"`);
  }

  flag(path: string): boolean | undefined {
    const value = this.#value(path);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.wrong(path, 'true, false or "auto"');
  }

  text(path: string): string | undefined {
    const value = this.#value(path);
    if (value === undefined || typeof value === "string") return value;
    throw this.wrong(path, "a text");
  }

  choice<T extends string>(path: string, choices: readonly T[]): T | undefined {
    const value = this.#value(path);
    if (value === undefined) return undefined;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw this.wrong(path, choices.map((choice) => `"${choice}"`).join(", "));
    return found;
  }

  /** A list of exactly `length` numbers, each of which may be "auto". */
  numbers(path: string, length: number, range: NumberRange = {}): readonly (number | undefined)[] | undefined {
    const value = this.#value(path);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.length === length && value.every((x) => x === "auto" || isWithin(x, range)))
      return value.map((x) => (x === "auto" ? undefined : x));
    throw this.wrong(path, `${length} numbers, each ${showRange(range)}, or "auto"`);
  }

  /** Says what is at `path`, and what was expected. */
  wrong(path: string, expected: string): FtError {
    return new FtError(
      "config",
      `${this.file}: ${path} is ${JSON.stringify(this.#find(path))}`,
      `expected ${expected}`,
    );
  }

  /** Paths of all values that were never asked for. */
  ignored(): string[] {
    const leaves = (value: unknown, path: string): string[] =>
      isObject(value) && !this.#asked.has(path)
        ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === "" ? key : `${path}.${key}`))
        : [path];
    return leaves(this.#json, "").filter((path) => path !== "" && !this.#asked.has(path));
  }

  #value(path: string): unknown {
    this.#asked.add(path);
    const value = this.#find(path);
    return value === null || value === "auto" ? undefined : value;
  }

  #find(path: string): unknown {
    let at: unknown = this.#json;
    const parts = path.split(".");
    for (const [i, part] of parts.entries()) {
      if (at === undefined || at === null) return undefined;
      if (!isObject(at))
        throw new FtError(
          "config",
          `${this.file}: ${parts.slice(0, i).join(".")} is ${JSON.stringify(at)}`,
          'expected an object, {"key": value, ...}',
        );
      at = new Map(Object.entries(at)).get(part);
    }
    return at;
  }
}

function isWithin(value: unknown, { above, min = 0, below, whole = false }: NumberRange): value is number {
  if (typeof value !== "number" || (whole && !Number.isSafeInteger(value))) return false;
  return (above === undefined ? value >= min : value > above) && (below === undefined || value < below);
}

function showRange({ above, min = 0, below, whole = false }: NumberRange): string {
  const from = above === undefined ? `of at least ${min}` : `above ${above}`;
  return `${whole ? "a whole number" : "a number"} ${from}${below === undefined ? "" : ` and below ${below}`}`;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
