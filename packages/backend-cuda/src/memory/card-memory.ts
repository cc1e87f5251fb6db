import { FtError } from "@ft/tensor";
import type { Address, CudaBuffer } from "../context.ts";
import { type DriverCalls, made } from "../driver/driver.ts";
import { Arena } from "./arena.ts";
import type { CardGround } from "./card-ground.ts";

/** What a backend holds on its card, now. */
export interface CardMemoryStats {
  /** bytes in use, work areas of kernels included */
  readonly liveBytes: number;
  /** the most there have been since the last restartPeak() */
  readonly peakBytes: number;
  /** bytes taken from the card, in use or kept for reuse */
  readonly heldBytes: number;
  /** how often the driver was asked for memory: what a training step in its steady state adds none to */
  readonly made: number;
  /** bytes of the largest tensor or work area in use */
  readonly largest: number;
}

/** Small blocks lie apart, so that they do not cut the large ones into pieces. */
const small = 1 << 20;
const smallPiece = 2 << 20;
const largePiece = 32 << 20;

/** A region of a card: buffers come from it and return to it. A graph has one of its own, which it alone uses. */
export interface Region {
  take(bytes: number): CudaBuffer | undefined;
  give(buffer: CudaBuffer): void;
  owns(buffer: CudaBuffer): boolean;
  trim(): void;
  readonly stats: CardMemoryStats;
  restartPeak(): void;
  dispose(): void;
}

/** A region over addresses for `bytes` of large blocks and a quarter of that of small ones, on ground that is reserved for it. */
export function createRegion(reserve: (bytes: number, piece: number) => CardGround, bytes: number): Region {
  const kinds = [kind(Math.ceil(bytes / 4), smallPiece), kind(bytes, largePiece)] as const;
  let peak = 0;
  const live = (): number => kinds[0].arena.liveBytes + kinds[1].arena.liveBytes;
  const sum = (of: (arena: Arena) => number): number => of(kinds[0].arena) + of(kinds[1].arena);
  return {
    take(count) {
      const { arena, ground } = kinds[count <= small ? 0 : 1];
      const start = arena.take(count);
      if (start === undefined) return undefined;
      peak = Math.max(peak, live());
      return { address: ground.base + BigInt(start), bytes: count };
    },
    give(buffer) {
      const { arena, ground } = kinds[buffer.bytes <= small ? 0 : 1];
      arena.give(Number(buffer.address - ground.base));
    },
    owns: ({ address }) => kinds.some(({ ground, end }) => address >= ground.base && address < end),
    trim() {
      for (const { arena } of kinds) arena.trim();
    },
    get stats() {
      return {
        liveBytes: live(),
        peakBytes: peak,
        heldBytes: sum((a) => a.heldBytes),
        made: sum((a) => a.fills),
        get largest() {
          return Math.max(kinds[0].arena.largest, kinds[1].arena.largest);
        },
      };
    },
    restartPeak() {
      peak = live();
    },
    dispose() {
      for (const { ground } of kinds) ground.dispose();
    },
  };

  function kind(range: number, piece: number): { arena: Arena; ground: CardGround; end: Address } {
    const ground = reserve(range, piece);
    return { arena: new Arena(ground), ground, end: ground.base + BigInt(range) };
  }
}

/** The error of a card that is full: how much was asked for, what there is, and what helps. */
export function noMemory(
  driver: DriverCalls,
  bytes: number,
  { liveBytes, heldBytes, largest }: CardMemoryStats,
): FtError {
  const out = [0];
  const total = [0];
  driver.cuMemGetInfo(out, total);
  const gib = (n: number): string => `${(n / 2 ** 30).toFixed(2)} GiB`;
  return new FtError(
    "backend",
    `[cuda] the card has no ${gib(bytes)} for one more tensor: ${gib(liveBytes)} are in use here, the largest tensor of them ${gib(largest)}, ${gib(heldBytes)} are held, ${gib(Number(out[0]))} of ${gib(Number(total[0]))} are free`,
    "use smaller or shorter batches, gradient checkpointing, or QLoRA; `ft plan` shows what fits",
  );
}

/** Memory that is never given back before the backend ends. */
export function reserveForever(driver: DriverCalls, bytes: number): Address {
  return made("cuMemAlloc", driver.cuMemAlloc, Math.max(bytes, 256));
}
