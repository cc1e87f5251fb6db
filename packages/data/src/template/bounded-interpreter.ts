import { Environment, Interpreter } from "@huggingface/jinja";
import { isRecord } from "../rows/conversation.ts";

/** Far above what any real template needs; low enough that a hostile one ends within seconds. */
const limits = { steps: 1_000_000, characters: 1 << 22, items: 1 << 16 };

interface RuntimeValue {
  readonly type: string;
  readonly value: unknown;
}

/** The part of the library's interpreter used here; its own declarations do not resolve under Node's rules. */
interface LibraryInterpreter {
  evaluate(statement: unknown, environment: unknown): RuntimeValue;
  evaluateBlock(statements: unknown, environment: unknown): RuntimeValue;
  run(program: unknown): RuntimeValue;
}

const Base: new (environment: TemplateEnvironment) => LibraryInterpreter = Interpreter;

/** Variables in reach of a template. */
export interface TemplateEnvironment {
  set(name: string, value: unknown): unknown;
}

/**
 * Jinja's interpreter with an end: a template that loops or grows without bound is stopped by an error.
 * Templates come with downloaded models, so they are input, not code to be trusted.
 */
export class BoundedInterpreter extends Base {
  #steps = 0;
  /** What loops run over: a loop copies its whole list before the first round, however early it breaks. */
  readonly #lists = new Set<unknown>();

  override evaluate(statement: unknown, environment: unknown): RuntimeValue {
    this.#charge(1);
    if (isRecord(statement) && statement.type === "For") {
      this.#lists.add(statement.iterable);
      if (isRecord(statement.iterable)) this.#lists.add(statement.iterable.lhs);
    }
    const result = this.#strip(statement, environment) ?? super.evaluate(statement, environment);
    const { value } = result;
    if (typeof value === "string" && value.length > limits.characters) {
      throw new Error(`a text longer than ${limits.characters} characters`);
    }
    if (Array.isArray(value)) {
      if (value.length > limits.items) throw new Error(`a list longer than ${limits.items}`);
      this.#charge(this.#lists.has(statement) ? value.length : value.length >> 4);
    }
    return result;
  }

  /** The body of a loop runs through here, even when it is empty. */
  override evaluateBlock(statements: unknown, environment: unknown): RuntimeValue {
    this.#charge(1);
    return super.evaluateBlock(statements, environment);
  }

  #charge(steps: number): void {
    this.#steps += steps;
    if (this.#steps > limits.steps) throw new Error(`more than ${limits.steps} steps`);
  }

  /** Python's `text.strip(characters)` and its kin: the library ignores the argument and strips white space always. */
  #strip(call: unknown, environment: unknown): RuntimeValue | undefined {
    if (!isRecord(call) || call.type !== "CallExpression" || !Array.isArray(call.args) || call.args.length !== 1)
      return;
    const callee = call.callee;
    if (!isRecord(callee) || callee.computed === true || !isRecord(callee.property)) return;
    const method = callee.property.value;
    if (method !== "strip" && method !== "lstrip" && method !== "rstrip") return;
    const text = this.evaluate(callee.object, environment);
    const characters = this.evaluate(call.args[0], environment);
    if (typeof text.value !== "string" || typeof characters.value !== "string") return;
    const all = [...text.value];
    const set = new Set(characters.value);
    let from = 0;
    let to = all.length;
    if (method !== "rstrip") while (from < to && set.has(all[from] ?? "")) from++;
    if (method !== "lstrip") while (to > from && set.has(all[to - 1] ?? "")) to--;
    return Reflect.construct(text.constructor, [all.slice(from, to).join("")]);
  }
}

/** The names that every chat template may use, with `now` as the only clock. */
export function templateEnvironment(variables: Readonly<Record<string, unknown>>, now: Date): TemplateEnvironment {
  const environment: TemplateEnvironment = new Environment();
  const globals: Record<string, unknown> = {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range: boundedRange,
    raise_exception: (message: unknown): never => {
      throw new Error(String(message));
    },
    strftime_now: (format: string): string => formatTime(now, format),
  };
  for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
  return environment;
}

function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= limits.items)) throw new Error(`range() of ${count} numbers`);
  return Array.from({ length: count }, (_, i) => from + i * step);
}

const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** Python's strftime in UTC and English, for the directives that chat templates use. */
function formatTime(now: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const month = months[now.getUTCMonth()] ?? "";
  const day = days[now.getUTCDay()] ?? "";
  const hour = now.getUTCHours();
  const parts: Record<string, string> = {
    Y: String(now.getUTCFullYear()),
    y: two(now.getUTCFullYear() % 100),
    m: two(now.getUTCMonth() + 1),
    B: month,
    b: month.slice(0, 3),
    d: two(now.getUTCDate()),
    A: day,
    a: day.slice(0, 3),
    H: two(hour),
    I: two(hour % 12 === 0 ? 12 : hour % 12),
    M: two(now.getUTCMinutes()),
    S: two(now.getUTCSeconds()),
    p: hour < 12 ? "AM" : "PM",
    Z: "UTC",
    "%": "%",
  };
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, bare: string, letter: string) => {
    const part = parts[letter];
    if (part === undefined) throw new Error(`strftime_now: the directive ${whole} is not known`);
    return bare === "" ? part : part.replace(/^0(?=.)/, "");
  });
}
