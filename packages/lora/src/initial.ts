import type { Linear } from "@ft/nn";
import { type Backend, type Parameter, parameter, philox, philoxNormal, type WideDType } from "@ft/tensor";
import { type LoraConfig, layerScale } from "./config.ts";
import { LoraLinear, type LoraMode } from "./lora-linear.ts";

/** A fresh adapter over one layer: A drawn from (seed, path) alone, B zero, so that it changes nothing yet. */
export function initialLayer(
  base: Linear,
  path: string,
  config: LoraConfig,
  at: { backend: Backend; dtype: WideDType; mode: LoraMode },
): LoraLinear<string, string> {
  const { r, scale } = layerScale(config, path);
  const { inFeatures, outFeatures } = base;
  const draw =
    config.init === "gaussian" ? gaussian(config.seed, path, r) : kaimingUniform(config.seed, path, inFeatures);
  const floats = <const A extends readonly [string, string]>(
    axes: A,
    shape: readonly [number, number],
    value?: (i: number) => number,
  ): Parameter<WideDType, A> => {
    const size = shape[0] * shape[1];
    return at.dtype === "f64"
      ? parameter(at.backend, "f64", axes, shape, filled(new Float64Array(size), value), { give: true })
      : parameter(at.backend, "f32", axes, shape, filled(new Float32Array(size), value), { give: true });
  };
  const a = floats(["rank", "in"], [r, inFeatures], draw);
  const b = floats(["out", "rank"], [outFeatures, r]);
  const attrs = { scale, rate: config.dropout, seed: config.seed, stream: streamOf(`${path} dropout`) };
  return new LoraLinear(base, a, b, attrs, at.mode);
}

/** A loop, since from() takes several times as long over the millions of numbers that adapters have. */
function filled<T extends Float32Array | Float64Array>(data: T, value?: (i: number) => number): T {
  if (value) for (let i = 0; i < data.length; i++) data[i] = value(i);
  return data;
}

/** Uniform within ±1/√in: torch's kaiming_uniform_ with a = √5, as PEFT initialises A. */
function kaimingUniform(seed: number, path: string, inFeatures: number): (i: number) => number {
  const uniform = philox(seed, streamOf(path), 0);
  return (i) => (2 * uniform(i) - 1) / Math.sqrt(inFeatures);
}

/** Normal with deviation 1/r, PEFT's "gaussian". */
function gaussian(seed: number, path: string, r: number): (i: number) => number {
  const normal = philoxNormal(seed, streamOf(path), 0);
  return (i) => normal(i) / r;
}

/** A Philox stream per name (32-bit FNV-1a), so that adding a layer does not change the numbers of the others. */
function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
