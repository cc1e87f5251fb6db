import { type DataOf, type DType, dataOf, type Spec, sizeOf } from "@ft/tensor";

/*
 * Arrays that are not there. Kernels ask what class an array has, how long it is, and sometimes fill or copy it; they
 * leave elements to C. So an object of the right class that knows its length, whose methods do nothing, passes through
 * a kernel as an array does, and takes some hundred bytes whatever its length.
 */

const planned = new WeakSet<object>();

/** Whether an array is one of those that hold nothing. */
export function isPlanned(array: object): boolean {
  return planned.has(array);
}

/** What stands for memory: it has a size. */
export function plannedMemory(bytes: number): ArrayBuffer {
  return Object.create(ArrayBuffer.prototype, { byteLength: { value: bytes } });
}

/** The array over a whole memory. It holds no elements: reading one gives undefined. */
export function plannedOver<D extends DType>(dtype: D, memory: ArrayBuffer, count?: number): DataOf[D] {
  const bytes = dataOf[dtype](new ArrayBuffer(0)).BYTES_PER_ELEMENT;
  const length = count ?? memory.byteLength / bytes;
  const part = (from = 0, to = length): DataOf[D] => {
    const at = (i: number): number => Math.min(length, Math.max(0, i < 0 ? length + i : i));
    return plannedOver(dtype, memory, Math.max(0, at(to) - at(from)));
  };
  const same = (): DataOf[D] => array;
  const nothing = (): void => {};
  const array: DataOf[D] = Object.create(shellOf(dtype), {
    length: { value: length },
    byteLength: { value: length * bytes },
    byteOffset: { value: 0 },
    buffer: { value: memory },
    fill: { value: same },
    set: { value: nothing },
    copyWithin: { value: same },
    subarray: { value: part },
    slice: { value: (from?: number, to?: number) => plannedArray({ dtype, shape: [part(from, to).length] }) },
  });
  planned.add(array);
  return array;
}

/** An array of this dtype and size that holds nothing. */
export function plannedArray<D extends DType>({ dtype, shape }: Spec<D>): DataOf[D] {
  const { BYTES_PER_ELEMENT: bytes } = dataOf[dtype](new ArrayBuffer(0));
  return plannedOver(dtype, plannedMemory(sizeOf(shape) * bytes));
}

/** The prototype of the dtype's array class, so that `instanceof` holds. */
function shellOf(dtype: DType): object {
  return Object.getPrototypeOf(dataOf[dtype](new ArrayBuffer(0)));
}
