import {
  copyInto,
  type DataOf,
  type DType,
  FtError,
  hasWindows,
  sizeOf,
  type Tensor,
  tensor,
  windowOf,
  zeros,
} from "@ft/tensor";
import type { HeldSlot, Range, SlotPlace } from "./placement.ts";

/** Slots as tensors of the parameter's backend. */
export function devicePlace(): SlotPlace {
  const held: DeviceSlot[] = [];
  return {
    resident: true,
    hold(backend, { dtype, axes, shape }, first) {
      const slot = new DeviceSlot(first ?? zeros(backend, dtype, axes, shape));
      held.push(slot);
      return slot;
    },
    reserve() {},
    dispose() {
      for (const slot of held.splice(0)) slot.dispose();
    },
  };
}

class DeviceSlot implements HeldSlot {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
  readonly divisible: boolean;
  #value: Tensor;

  constructor(value: Tensor) {
    this.dtype = value.dtype;
    this.shape = value.shape;
    this.axes = value.axes;
    this.divisible = hasWindows(value.backend);
    this.#value = value;
  }

  take(range: Range | undefined): Tensor {
    return range === undefined ? this.#value : this.#window(range);
  }

  fill(range: Range | undefined, x: Tensor): void {
    this.put(range, this.take(range), x);
  }

  put(range: Range | undefined, taken: Tensor, next: Tensor): void {
    if (range === undefined) {
      this.#value = next;
      if (next !== taken) taken.dispose();
      return;
    }
    copyInto(next, taken);
    next.dispose();
    taken.dispose();
  }

  drop(taken: Tensor): void {
    if (taken !== this.#value) taken.dispose();
  }

  async read({ start, count }: Range): Promise<DataOf[DType]> {
    if (count === sizeOf(this.shape)) return this.#value.read();
    const window = this.#window({ start, count });
    try {
      return await window.read();
    } finally {
      window.dispose();
    }
  }

  async write(range: Range, data: DataOf[DType]): Promise<void> {
    const { backend } = this.#value;
    if (range.count === sizeOf(this.shape)) {
      const next = tensor(backend, this.dtype, this.axes, this.shape, data);
      this.#value.dispose();
      this.#value = next;
      return;
    }
    const window = this.#window(range);
    backend.write(window.view.storage.buffer, window.view, data);
    window.dispose();
  }

  /** What somebody else holds too must not change under them: then the slot moves to memory of its own. */
  #window({ start, count }: Range): Tensor {
    if (!this.#value.view.storage.exclusive) {
      const own = zeros(this.#value.backend, this.dtype, this.axes, this.shape);
      copyInto(this.#value, own);
      this.#value.dispose();
      this.#value = own;
    }
    const window = windowOf(this.#value, start, count);
    if (window === undefined)
      throw new FtError("unsupported", `[optimizer] ${this.#value.backend.name} has no windows`, "step whole tensors");
    return window;
  }

  dispose(): void {
    this.#value.dispose();
  }
}
