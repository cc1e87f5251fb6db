import { FtError } from "@ft/tensor";

/** Reads typed fields out of a parsed config, naming file and key when one is missing or of the wrong kind. */
export class Fields {
  readonly #where: string;
  readonly #values: ReadonlyMap<string, unknown>;

  /** @param where the file, for messages */
  constructor(where: string, values: ReadonlyMap<string, unknown>) {
    this.#where = where;
    this.#values = values;
  }

  static of(where: string, value: unknown): Fields {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new FtError("config", `[config] ${where} is not an object`, "expected a JSON object");
    return new Fields(where, new Map(Object.entries(value)));
  }

  get(key: string): unknown {
    return this.#values.get(key) ?? undefined;
  }
  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** A positive whole number. */
  count(key: string, fallback?: number): number {
    const value = this.#number(key, fallback);
    if (!Number.isSafeInteger(value) || value <= 0) throw this.#wrong(key, value, "a positive whole number");
    return value;
  }
  /** A finite positive number. */
  positive(key: string, fallback?: number): number {
    const value = this.#number(key, fallback);
    if (!Number.isFinite(value) || value <= 0) throw this.#wrong(key, value, "a positive number");
    return value;
  }
  flag(key: string, fallback: boolean): boolean {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "boolean") throw this.#wrong(key, value, "true or false");
    return value;
  }
  text(key: string, fallback?: string): string {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "string") throw this.#wrong(key, value, "a string");
    return value;
  }
  /** One token id, or a list of them, as a list; empty when absent. */
  tokenIds(key: string): number[] {
    const value = this.get(key);
    const ids = value === undefined ? [] : Array.isArray(value) ? value : [value];
    for (const id of ids) if (!Number.isSafeInteger(id) || id < 0) throw this.#wrong(key, value, "token ids");
    return ids;
  }
  nested(key: string): Fields | undefined {
    const value = this.get(key);
    return value === undefined ? undefined : Fields.of(`${this.#where}, ${key}`, value);
  }
  wrong(key: string, expected: string): FtError {
    return this.#wrong(key, this.get(key), expected);
  }

  #number(key: string, fallback?: number): number {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "number") throw this.#wrong(key, value, "a number");
    return value;
  }
  #wrong(key: string, value: unknown, expected: string): FtError {
    const got = value === undefined ? "missing" : JSON.stringify(value)?.slice(0, 80);
    return new FtError("config", `[config] ${this.#where}: ${key} is ${got}`, `expected ${expected}`);
  }
}
