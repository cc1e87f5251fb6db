import { DenseLinear, type LinearHost } from "@ft/nn";
import { FtError, type Parameter, scalar, scope, sizeOf, type Tensor, toParameter, type WideDType } from "@ft/tensor";
import { sumSquares } from "@ft/tensor/ops";
import { type LoraConfig, type LoraOptions, loraConfig, matchModules } from "./config.ts";
import { initialLayer } from "./initial.ts";
import { LoraLinear, type LoraMode } from "./lora-linear.ts";

/** Counts of a model with adapters. */
export interface LoraSummary {
  /** numbers that train */
  readonly trainable: number;
  /** numbers of the whole model, adapters included */
  readonly total: number;
  /** adapted layers with their rank and scale */
  readonly layers: readonly { readonly path: string; readonly r: number; readonly scale: number }[];
}

/** Puts adapters over the matching Linears of a model. B starts at zero, so the model computes what it did before. */
export function applyLora(host: LinearHost, options: LoraOptions = {}, dtype: WideDType = "f32"): LoraAdapter {
  const config = loraConfig(options);
  const linears = host.linears();
  if ([...linears.values()].some((linear) => linear instanceof LoraLinear))
    throw new FtError("input", "[lora] the model has an adapter already", "fuse or remove it first");
  // all that can be refused is refused here, before anything is made
  const paths = matchModules(config, [...linears.keys()]);
  const mode: LoraMode = { training: false, step: scalar(host.backend, "i32", 0) };
  const layers = new Map<string, LoraLinear<string, string>>();
  for (const path of paths) {
    const layer = initialLayer(linears.get(path)!, path, config, { backend: host.backend, dtype, mode });
    host.replaceLinear(path, layer);
    layers.set(path, layer);
  }
  return new LoraAdapter(host, config, layers, mode);
}

/** The adapters of one model: what trains, is saved, fused or taken off again. */
export class LoraAdapter {
  readonly config: LoraConfig;
  readonly #host: LinearHost;
  readonly #layers: Map<string, LoraLinear<string, string>>;
  readonly #mode: LoraMode;
  #isMerged = false;

  /** @internal use applyLora */
  constructor(host: LinearHost, config: LoraConfig, layers: Map<string, LoraLinear<string, string>>, mode: LoraMode) {
    this.#host = host;
    this.config = config;
    this.#layers = layers;
    this.#mode = mode;
  }

  /** The model that the adapters are over. */
  get host(): LinearHost {
    return this.#host;
  }

  /** Everything that trains, under the names PEFT saves it by; pass it to valueAndGrad. */
  parameters(): ReadonlyMap<string, Parameter> {
    const named = new Map<string, Parameter>();
    for (const [path, { a, b }] of this.#layers) {
      named.set(`base_model.model.${path}.lora_A.weight`, a);
      named.set(`base_model.model.${path}.lora_B.weight`, b);
    }
    if (this.config.bias !== "none")
      for (const [path, linear] of this.#host.linears()) {
        const adapted = this.#layers.has(path);
        const bias = linear.parameters().get("bias");
        if (!bias || (this.config.bias === "lora_only" && !adapted)) continue;
        named.set(`base_model.model.${path}.${adapted ? "base_layer.bias" : "bias"}`, bias);
      }
    return named;
  }

  /**
   * Dropout on, with the masks of this micro-batch; a mask depends on (seed, layer, step, element) alone. Refuses a merged
   * adapter, whose A and B take no part in what the model computes.
   */
  train(step: number): void {
    if (this.#isMerged)
      throw new FtError(
        "input",
        "[lora] a merged adapter does not train",
        "unmerge it first, and merge it again after",
      );
    this.#mode.training = true;
    const { view } = this.#mode.step;
    view.storage.backend.write(view.storage.buffer, view, Int32Array.of(step));
  }

  /** Dropout off: evaluation and generation. */
  evaluate(): void {
    this.#mode.training = false;
  }

  summary(): LoraSummary {
    const trained = this.parameters();
    const all = new Map([...this.#host.parameters(), ...trained].map(([, x]) => [x, sizeOf(x.shape)]));
    const trainable = [...trained.values()].reduce((sum, x) => sum + sizeOf(x.shape), 0);
    const floats = [...all.values()].reduce((sum, size) => sum + size, 0);
    const quantized = [...this.#host.linears().values()].filter((linear) => !linear.parameters().has("weight"));
    const total = quantized.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures, floats);
    const layers = [...this.#layers].map(([path, { a, attrs }]) => ({ path, r: a.shape[0] ?? 0, scale: attrs.scale }));
    return { trainable, total, layers };
  }

  /** Whether the layers multiply by merged weights: after merge(), until unmerge(). */
  get isMerged(): boolean {
    return this.#isMerged;
  }

  /**
   * Lets every adapted layer multiply by one weight, base and update added, which is faster than both and computes the same.
   * The base stays beside it as it is, quantised or not, so that unmerge() gives it back bit for bit; a dense copy of the
   * adapted layers in the adapter's dtype is what that costs. Merged already: nothing happens. Errors: "numeric" (an update
   * that is not finite), in which case nothing changes.
   */
  async merge(): Promise<void> {
    if (this.#isMerged) return;
    for (const [path, weight] of await this.#mergedWeights()) this.#layers.get(path)?.useMerged(weight);
    this.#isMerged = true;
  }

  /** Base and adapter by themselves again, each to the bit what it was before merge(). Not merged: nothing happens. */
  unmerge(): void {
    for (const layer of this.#layers.values()) layer.useMerged(undefined);
    this.#isMerged = false;
  }

  /**
   * Adds every update to its base weight and takes the adapters off; the model computes the same without them. Refuses
   * updates that are not finite, in which case nothing changes.
   */
  async fuse(): Promise<void> {
    const merged = await this.#mergedWeights();
    for (const [path, layer] of this.#layers) {
      const weight = merged.get(path)!;
      const held = layer.base.parameters().get("weight");
      if (held?.dtype === weight.dtype) {
        held.assign(weight);
        this.#host.replaceLinear(path, layer.base);
      } else {
        const bias = layer.base.parameters().get("bias");
        // a handle of its own, since the base goes as a whole
        const own = bias && toParameter(bias.as(...bias.axes));
        this.#host.replaceLinear(path, new DenseLinear(toParameter(weight), own));
        layer.base.dispose();
      }
    }
    this.#drop();
  }

  /** Takes the adapters off; the model is what it was before (but for biases that were trained). */
  remove(): void {
    for (const [path, layer] of this.#layers) this.#host.replaceLinear(path, layer.base);
    this.#drop();
  }

  /** The sum of base and update of every layer by its path, all of them finite. */
  async #mergedWeights(): Promise<Map<string, Tensor<WideDType, readonly [string, string]>>> {
    const merged = new Map<string, Tensor<WideDType, readonly [string, string]>>();
    try {
      for (const [path, layer] of this.#layers) {
        const weight = layer.materialize(layer.a.dtype);
        merged.set(path, weight);
        using size = scope(() => sumSquares(weight));
        if (!Number.isFinite((await size.read())[0]))
          throw new FtError(
            "numeric",
            `[lora] the merged weight of ${path} is not finite`,
            "the adapter is broken: load an earlier checkpoint",
          );
      }
      return merged;
    } catch (error) {
      for (const weight of merged.values()) weight.dispose();
      throw error;
    }
  }

  #drop(): void {
    for (const layer of this.#layers.values()) layer.detach();
    this.#layers.clear();
    this.#isMerged = false;
    this.#mode.step.dispose();
  }
}
