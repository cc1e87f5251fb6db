import { inverseFrequencies, type RopeScaling } from "@ft/nn";
import { FtError } from "@ft/tensor";
import type { WeightSource } from "@ft/weights";
import type { LlamaConfig } from "./llama-config.ts";

type Llama3 = Extract<RopeScaling, { type: "llama3" }>;
type RopeFacts = Pick<LlamaConfig, "headDim" | "ropeTheta" | "ropeScaling" | "maxPositions">;

/** where a GGUF file has Llama 3's scaling: what each rotary frequency is divided by, [headDim / 2] */
const tensorName = "rope_freqs.weight";
/** of parts of the unscaled frequency: both sides compute these in f32, by way of numbers up to 8 */
const tolerance = 2e-6;

/** A config with the scaling that a GGUF file's divisors come from, where there are parameters that give all of them. */
export async function withScaling(source: WeightSource, config: LlamaConfig): Promise<LlamaConfig> {
  const divisors = await readDivisors(source, config);
  const scaling = divisors && config.ropeScaling.type === "default" ? scalingOf(divisors, config) : undefined;
  return scaling ? { ...config, ropeScaling: scaling } : config;
}

/** The divisors of a file whose scaling no config can express; undefined where the config, as `withScaling` gives it, has all. */
export async function unexpressedDivisors(
  source: WeightSource,
  config: RopeFacts,
): Promise<Float32Array<ArrayBuffer> | undefined> {
  const divisors = config.ropeScaling.type === "llama3" ? undefined : await readDivisors(source, config);
  return divisors?.some((divisor) => divisor !== 1) ? divisors : undefined;
}

async function readDivisors(
  source: WeightSource,
  { headDim }: RopeFacts,
): Promise<Float32Array<ArrayBuffer> | undefined> {
  if (!source.tensors.has(tensorName)) return undefined;
  const divisors = await source.read(tensorName, "f32");
  const wrong = (what: string, wanted: string): FtError =>
    new FtError("format", `[model] ${source.path}: ${tensorName} has ${what}`, wanted);
  if (divisors.length !== headDim / 2)
    throw wrong(`${divisors.length} values`, `a head of ${headDim} needs ${headDim / 2}`);
  const bad = divisors.find((divisor) => !(divisor > 0 && divisor < Number.POSITIVE_INFINITY));
  if (bad !== undefined)
    throw wrong(`the value ${bad}`, "frequencies are divided by positive numbers: the file is damaged");
  return divisors;
}

/**
 * Llama 3's parameters from its divisors [headDim / 2]. Only the wavelengths at which the ramp begins and ends show in them, so that
 * context and both factors times the same number are one scaling: the low factor is taken as 1, as Meta's models have it.
 * Undefined where no parameters give every divisor.
 */
export function scalingOf(divisors: Float32Array, config: RopeFacts): RopeScaling | undefined {
  const factor = divisors.reduce((most, divisor) => Math.max(most, divisor), 1);
  if (divisors.every((divisor) => divisor === 1)) return { type: "default" };
  return candidates(divisors, factor, config).find((scaling) => explains(scaling, divisors, config));
}

/** What it may be, the likeliest first. */
function candidates(divisors: Float32Array, factor: number, config: RopeFacts): Llama3[] {
  const make = (originalMaxPositions: number, low = 1, high = 4): Llama3 => ({
    ...{ type: "llama3", factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions },
  });
  const shares = unscaled(config).flatMap((frequency, i) => {
    const share = (1 / divisors[i]! - 1 / factor) / (1 - 1 / factor);
    return share > 0 && share < 1 ? [{ perToken: frequency / (2 * Math.PI), share }] : [];
  });
  // 8,192 is that of every published model; on few frequencies others are as good, if they verify
  const contexts = [8192, Math.round(config.maxPositions / factor)];
  for (let context = 32; context <= 2 ** 21; context *= 2) contexts.push(context);
  const usual = contexts.filter((context) => context > 0).map((context) => make(context));
  const [first, last] = [shares[0], shares.at(-1)];
  if (first === undefined || last === undefined) return usual;
  if (first === last) return [...usual, make(Math.round((1 + 3 * first.share) / first.perToken))];
  // along the ramp the share grows evenly with turns per token: from 0 at low / context to 1 at high / context
  const slope = (first.share - last.share) / (first.perToken - last.perToken);
  const start = last.perToken - last.share / slope;
  const context = Math.round(1 / start);
  const [low, high] = [start * context, (start + 1 / slope) * context];
  return [...usual, make(context, 1, Math.round(high)), make(context, 1, high), make(context, low, high)];
}

function explains(scaling: Llama3, divisors: Float32Array, config: RopeFacts): boolean {
  const { lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions: context } = scaling;
  if (!(low > 0 && high > low && Number.isSafeInteger(context) && context > 0)) return false;
  const scaled = inverseFrequencies({ theta: config.ropeTheta, headDim: config.headDim, scaling });
  return unscaled(config).every((frequency, i) => Math.abs(scaled[i]! / frequency - 1 / divisors[i]!) <= tolerance);
}

function unscaled({ ropeTheta, headDim }: RopeFacts): number[] {
  return [...inverseFrequencies({ theta: ropeTheta, headDim })];
}
