import { FtError } from "@ft/tensor";

/** How adapters are made. Defaults are PEFT's, except that every linear layer is adapted (Dettmers et al. 2023). */
export interface LoraOptions {
  /** rank of the update */
  readonly r?: number;
  /** the update is scaled by alpha / r, or alpha / √r with rsLora */
  readonly alpha?: number;
  /** probability of dropping an input of A while training */
  readonly dropout?: number;
  /** rank-stabilised scaling (Kalajdzievski 2023) */
  readonly rsLora?: boolean;
  /** which biases train: none, every bias of the linear layers, or those of adapted layers */
  readonly bias?: "none" | "all" | "lora_only";
  /** names or path endings, a regular expression over whole paths, or "all-linear" */
  readonly targetModules?: readonly string[] | string;
  /** layers to leave out, written likewise */
  readonly excludeModules?: readonly string[] | string;
  /** other ranks by path ending or regular expression */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** other alphas, written likewise */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /** A is uniform as PEFT draws it (true), normal with deviation 1/r ("gaussian"), and B zero */
  readonly init?: true | "gaussian";
  /** initialisation and dropout depend on it alone */
  readonly seed?: number;
}

/** Every option settled. */
export type LoraConfig = Required<LoraOptions>;

/** Fills in defaults and refuses values that make no sense. */
export function loraConfig(options: LoraOptions = {}): LoraConfig {
  const r = options.r ?? 8;
  const config: LoraConfig = {
    r,
    alpha: options.alpha ?? 2 * r,
    dropout: options.dropout ?? 0,
    rsLora: options.rsLora ?? false,
    bias: options.bias ?? "none",
    targetModules: options.targetModules ?? "all-linear",
    excludeModules: options.excludeModules ?? [],
    rankPattern: options.rankPattern ?? {},
    alphaPattern: options.alphaPattern ?? {},
    init: options.init ?? true,
    seed: options.seed ?? 0,
  };
  for (const rank of [r, ...Object.values(config.rankPattern)])
    if (!Number.isSafeInteger(rank) || rank < 1)
      throw new FtError("config", `[lora] rank ${rank}`, "use a whole number of at least 1");
  for (const alpha of [config.alpha, ...Object.values(config.alphaPattern)])
    if (!Number.isFinite(alpha)) throw new FtError("config", `[lora] alpha ${alpha}`, "use a finite number");
  for (const pattern of Object.keys({ ...config.rankPattern, ...config.alphaPattern })) moduleRegex(pattern);
  if (!(config.dropout >= 0 && config.dropout < 1))
    throw new FtError("config", `[lora] dropout ${config.dropout}`, "use at least 0 and less than 1");
  if (!["none", "all", "lora_only"].includes(config.bias))
    throw new FtError("config", `[lora] bias "${config.bias}"`, "use none, all or lora_only");
  return config;
}

/** Rank and scale of one layer, patterns applied. */
export function layerScale(config: LoraConfig, path: string): { r: number; scale: number } {
  const r = byPattern(config.rankPattern, path) ?? config.r;
  const alpha = byPattern(config.alphaPattern, path) ?? config.alpha;
  return { r, scale: config.rsLora ? alpha / Math.sqrt(r) : alpha / r };
}

/** The value of the first pattern that matches the end of a path, as PEFT's rank_pattern and alpha_pattern do. */
function byPattern(patterns: Readonly<Record<string, number>>, path: string): number | undefined {
  for (const [pattern, value] of Object.entries(patterns)) if (moduleRegex(pattern).test(path)) return value;
  return undefined;
}

function moduleRegex(pattern: string): RegExp {
  return regex(`^(.*\\.)?(${pattern})$`, pattern);
}

/** Paths of the layers to adapt, in the host's order. Throws when nothing matches, or a name in the list matches nothing. */
export function matchModules(config: LoraConfig, paths: readonly string[]): string[] {
  const { targetModules: targets, excludeModules: excluded } = config;
  const included = targets === "all-linear" ? paths : paths.filter((path) => matches(targets, path));
  const found = included.filter((path) => !matches(excluded, path));
  const idle =
    typeof targets === "string" ? [] : targets.filter((name) => !paths.some((path) => matches([name], path)));
  if (found.length > 0 && idle.length === 0) return found;
  const what =
    idle.length > 0 ? `target module "${idle[0]}" matches no linear layer` : "no linear layer is left to adapt";
  const names = [...new Set(paths.map((path) => path.slice(path.lastIndexOf(".") + 1)))];
  throw new FtError("config", `[lora] ${what}`, `this model's linear layers end in ${names.join(", ")}`);
}

function matches(targets: readonly string[] | string, path: string): boolean {
  if (typeof targets === "string") return targets !== "" && regex(`^(?:${targets})$`, targets).test(path);
  return targets.some((name) => path === name || path.endsWith(`.${name}`));
}

function regex(source: string, written: string): RegExp {
  try {
    return new RegExp(source);
  } catch (cause) {
    throw new FtError(
      "config",
      `[lora] "${written}" is not a regular expression`,
      "escape dots as \\.; list plain names instead",
      { cause },
    );
  }
}
