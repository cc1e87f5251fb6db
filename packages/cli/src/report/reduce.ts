import type { StepPoint } from "./metrics.ts";

/** Columns of numbers that belong together; null stands for what is not finite. */
export type Columns = Readonly<Record<string, readonly (number | null)[]>>;

/** The steps of a run as charts draw them. */
export interface Reduced {
  readonly points: Columns;
  /** what is smoothed: the points themselves, or the means of `bucket` steps each */
  readonly means: Columns;
  /** steps that share a bucket; 1 where every step is there */
  readonly bucket: number;
}

const drawn = ["loss", "learningRate", "gradNorm", "tokensPerSecond", "lossScale"] as const;
const axes = ["step", "tokens", "seconds"] as const;

/**
 * At most about `most` points. Of longer runs every bucket of equally many steps keeps those where a value is smallest or
 * largest, so that no spike is lost, and those that are not finite (the first of a bucket); what is smoothed are means.
 */
export function reduceSteps(steps: readonly StepPoint[], most = 3000): Reduced {
  const used = drawn.filter((key) => key !== "lossScale" || steps.some(({ lossScale }) => !Number.isNaN(lossScale)));
  if (steps.length <= most) {
    const points = columns(steps, [...axes, ...used]);
    return { points, means: {}, bucket: 1 };
  }
  // every bucket keeps up to two points for each column, and the ends
  const bucket = Math.ceil((steps.length * 2 * used.length) / most);
  const kept = new Set<StepPoint | undefined>([steps[0], steps.at(-1)]);
  const means: StepPoint[] = [];
  for (let at = 0; at < steps.length; at += bucket) {
    const part = steps.slice(at, at + bucket);
    for (const key of used) {
      const finite = part.filter((point) => Number.isFinite(point[key]));
      kept.add(
        finite.reduce<StepPoint | undefined>((low, one) => (low && low[key] <= one[key] ? low : one), undefined),
      );
      kept.add(
        finite.reduce<StepPoint | undefined>((top, one) => (top && top[key] >= one[key] ? top : one), undefined),
      );
      kept.add(part.find((point) => !Number.isFinite(point[key])));
    }
    const middle = part[part.length >> 1];
    if (middle)
      means.push({
        ...middle,
        loss: mean(part, "loss"),
        gradNorm: mean(part, "gradNorm"),
        tokensPerSecond: mean(part, "tokensPerSecond"),
      });
  }
  const points = columns(
    steps.filter((point) => kept.has(point)),
    [...axes, ...used],
  );
  return { points, means: columns(means, [...axes, "loss", "gradNorm", "tokensPerSecond"]), bucket };
}

/** Rows as columns, with five significant digits, counts whole. */
export function columns<Row>(rows: readonly Row[], keys: readonly (keyof Row & string)[]): Columns {
  return Object.fromEntries(keys.map((key) => [key, rows.map((row) => rounded(row[key]))]));
}

function rounded(value: unknown): number | null {
  if (typeof value !== "number" || !Number.isFinite(value)) return null;
  return Number.isInteger(value) ? value : Number(value.toPrecision(5));
}

function mean(points: readonly StepPoint[], key: (typeof drawn)[number]): number {
  const values = points.map((point) => point[key]).filter(Number.isFinite);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
