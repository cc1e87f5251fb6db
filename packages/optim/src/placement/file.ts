import { bytesPerElement, type DataOf, type DType, dataOf, FtError, sizeOf } from "@ft/tensor";
import { awaySlot } from "./away.ts";
import type { SlotPlace } from "./placement.ts";
import { openScratch } from "./scratch-file.ts";

/** Every slot begins at a page. */
const page = 4096;

/**
 * Slots in one file inside `folder`, read and written by position, a window at a time. Nothing of it is needed later: a
 * checkpoint holds the slots as always. Code "io" when the folder or the disk will not have it.
 */
export function filePlace(folder: string): SlotPlace {
  const file = openScratch(folder);
  let size = 0;
  let staging = new ArrayBuffer(0);
  let turn: Promise<unknown> = Promise.resolve();
  /** One at a time: all reads share one array, which a window does not have to be allocated for. */
  const inTurn = <R>(act: () => Promise<R>): Promise<R> => {
    const mine = turn.then(act);
    turn = mine.catch(() => {});
    return mine;
  };
  const staged = (dtype: DType, count: number): DataOf[DType] => {
    const bytes = count * bytesPerElement[dtype];
    if (staging.byteLength < bytes) staging = new ArrayBuffer(Math.ceil(bytes / page) * page);
    return dataOf[dtype](staging).subarray(0, count);
  };
  return {
    resident: false,
    hold(backend, spec) {
      const place = size;
      const width = bytesPerElement[spec.dtype];
      size += Math.ceil((sizeOf(spec.shape) * width) / page) * page;
      return awaySlot(backend, spec, {
        read: ({ start, count }, use) =>
          inTurn(async () => {
            const data = staged(spec.dtype, count);
            await file.read(data, place + start * width);
            return use(data);
          }),
        write: ({ start }, data) => inTurn(() => file.write(data, place + start * width)),
      });
    },
    reserve() {
      const left = file.bytesLeft();
      if (left >= size) return;
      throw new FtError(
        "io",
        `the disk of ${folder} has ${gigabytes(left)} left, the optimizer's slots need ${gigabytes(size)}`,
        "name a folder on a larger disk, free some space, or keep the slots in memory",
      );
    },
    dispose: () => file.close(),
  };
}

function gigabytes(bytes: number): string {
  return bytes < 1e8 ? `${(bytes / 1e6).toFixed(2)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
