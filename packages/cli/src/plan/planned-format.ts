import { plannedArray } from "@ft/backend-plan";
import type { LinearFormat, StoredLinear } from "@ft/nn";
import { bitsandbytesFormat, Int8Linear, Nf4Linear } from "@ft/quant-nf4";
import { type Backend, type DType, type Spec, type Tensor, tensor } from "@ft/tensor";
import { nestedBlockSize } from "@ft/tensor/ops";
import { type Quantization, quantizationDefaults } from "../config/train-config.ts";

/**
 * Quantised layers of the sizes that bitsandbytes' format makes, without codes: what a plan loads. Layers that are
 * quantised to 4 bits on the way pass through the real code, whose moments may be the largest of loading.
 */
export function plannedFormat(quantization: Quantization, onTheWay: boolean): LinearFormat {
  const { type, doubleQuant, blockSize } = { ...quantizationDefaults, ...quantization };
  return {
    quantMethod: "bitsandbytes",
    companions: () => [],
    entries: () => undefined,
    config: () => ({}),
    async load(at: StoredLinear) {
      const { backend, shape, bias } = at;
      if (type === "int8") {
        const codes = hollow(backend, { dtype: "i8", shape }, ["out", "in"] as const);
        return new Int8Linear(
          { codes, absmax: hollow(backend, { dtype: "f32", shape: [shape[0]] }, ["out"] as const) },
          bias,
        );
      }
      if (onTheWay) return bitsandbytesFormat({ type, doubleQuant, blockSize }).load(at);
      const size = shape[0] * shape[1];
      const blocks = Math.ceil(size / blockSize);
      const common = { type, blockSize, shape, axes: ["out", "in"] } as const;
      const codes = hollow(backend, { dtype: "u8", shape: [Math.ceil(size / 2)] }, ["byte"] as const);
      if (!doubleQuant) {
        const absmax = hollow(backend, { dtype: "f32", shape: [blocks] }, ["block"] as const);
        return new Nf4Linear({ ...common, codes, absmax }, { from: "bf16" }, bias);
      }
      const nested = [Math.ceil(blocks / nestedBlockSize)];
      const statistics = {
        absmax: hollow(backend, { dtype: "u8", shape: [blocks] }, ["block"] as const),
        nestedAbsmax: hollow(backend, { dtype: "f32", shape: nested }, ["nested"] as const),
        offset: hollow(backend, { dtype: "f32", shape: [] }, [] as const),
      };
      return new Nf4Linear({ ...common, codes, ...statistics }, { from: "bf16", offset: 0 }, bias);
    },
  };
}

function hollow<D extends DType, const A extends readonly string[]>(
  backend: Backend,
  spec: Spec<D>,
  axes: A,
): Tensor<D, A> {
  return tensor(backend, spec.dtype, axes, spec.shape, plannedArray(spec), { give: true });
}
