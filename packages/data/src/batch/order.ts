import { philoxPermutation } from "@ft/tensor";

/** Random streams of this package: the order of examples, and the order of micro-batches where those are made by length. */
export const orderStream = 0x4f52_4452;
export const batchStream = 0x4254_4348;

/**
 * The order in which epoch number `epoch` (from 0) visits n examples: a permutation that depends on seed and epoch alone.
 */
export function epochOrder(n: number, seed: number, epoch: number): Int32Array {
  return philoxPermutation(n, seed, orderStream, epoch);
}
