/** Where an arena's memory comes from: a range of addresses that is filled with memory piece by piece. */
export interface Ground {
  /** bytes of one piece; pieces lie at multiples of it */
  readonly piece: number;
  /** Puts memory under these pieces, all or none; false when there is none left. */
  fill(first: number, count: number): boolean;
  /** Gives the memory of a piece back. */
  empty(piece: number): void;
}

interface Block {
  readonly start: number;
  size: number;
  free: boolean;
  before: Block | undefined;
  after: Block | undefined;
}

/** Every block begins at a multiple of it: what vectorised kernels and matrix libraries ask for, and more. */
export const alignment = 512;

/**
 * Hands out ranges of one long range of addresses: the smallest free block that fits, the rest of which stays free;
 * neighbours that are free become one. Everything is queued in order on one stream, so a block can be used again as soon
 * as it is given back. Memory is put under the addresses when they are first used and stays there: in its steady state a
 * training step allocates nothing.
 */
export class Arena {
  readonly #ground: Ground;
  /** free blocks by size, then by place; the last block, which has no end, is not among them */
  readonly #free: Block[] = [];
  readonly #used = new Map<number, Block>();
  readonly #filled = new Set<number>();
  #last: Block = { start: 0, size: Number.POSITIVE_INFINITY, free: true, before: undefined, after: undefined };
  #liveBytes = 0;
  #peakBytes = 0;
  #fills = 0;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** bytes handed out */
  get liveBytes(): number {
    return this.#liveBytes;
  }
  /** the most there have been since the last restartPeak() */
  get peakBytes(): number {
    return this.#peakBytes;
  }
  /** bytes of memory under the addresses, in use or kept for reuse */
  get heldBytes(): number {
    return this.#filled.size * this.#ground.piece;
  }
  /** how often memory was asked for */
  get fills(): number {
    return this.#fills;
  }

  /** bytes of the largest block in use */
  get largest(): number {
    let most = 0;
    for (const { size } of this.#used.values()) most = Math.max(most, size);
    return most;
  }

  restartPeak(): void {
    this.#peakBytes = this.#liveBytes;
  }

  /** The start of a fresh block; undefined when the card has no memory for it: perhaps it has after trim(). */
  take(bytes: number): number | undefined {
    const size = Math.max(alignment, Math.ceil(bytes / alignment) * alignment);
    const block = this.#fitting(size);
    if (!this.#fill(block.start, size)) return undefined;
    if (block !== this.#last) this.#forget(block);
    if (block.size > size) this.#split(block, size);
    block.free = false;
    this.#used.set(block.start, block);
    this.#liveBytes += size;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    return block.start;
  }

  give(start: number): void {
    const block = this.#used.get(start);
    if (block === undefined) return;
    this.#used.delete(start);
    this.#liveBytes -= block.size;
    block.free = true;
    let whole = block;
    if (block.before?.free) {
      this.#forget(block.before);
      whole = this.#joined(block.before, block);
    }
    const { after } = whole;
    if (after?.free) {
      if (after !== this.#last) this.#forget(after);
      const joined = this.#joined(whole, after);
      if (after === this.#last) this.#last = joined;
      whole = joined;
    }
    if (whole !== this.#last) this.#remember(whole);
  }

  /** Gives back the memory under addresses that nobody uses. The caller waits for the stream first. */
  trim(): void {
    const { piece } = this.#ground;
    const inUse = new Set<number>();
    for (const { start, size } of this.#used.values())
      for (let at = Math.floor(start / piece); at * piece < start + size; at++) inUse.add(at);
    for (const at of [...this.#filled])
      if (!inUse.has(at)) {
        this.#ground.empty(at);
        this.#filled.delete(at);
      }
  }

  #fitting(size: number): Block {
    const at = this.#position({ size, start: -1 });
    return this.#free[at] ?? this.#last;
  }

  #fill(start: number, size: number): boolean {
    const { piece } = this.#ground;
    const end = Math.ceil((start + size) / piece);
    for (let at = Math.floor(start / piece); at < end; at++) {
      if (this.#filled.has(at)) continue;
      let count = 1;
      while (at + count < end && !this.#filled.has(at + count)) count++;
      this.#fills++;
      if (!this.#ground.fill(at, count)) return false;
      for (let i = 0; i < count; i++) this.#filled.add(at + i);
      at += count - 1;
    }
    return true;
  }

  #split(block: Block, size: number): void {
    const rest: Block = {
      start: block.start + size,
      size: block.size - size,
      free: true,
      before: block,
      after: block.after,
    };
    if (block.after) block.after.before = rest;
    block.after = rest;
    block.size = size;
    if (block === this.#last) this.#last = rest;
    else this.#remember(rest);
  }

  #joined(a: Block, b: Block): Block {
    a.size += b.size;
    a.after = b.after;
    if (b.after) b.after.before = a;
    return a;
  }

  #remember(block: Block): void {
    this.#free.splice(this.#position(block), 0, block);
  }

  #forget(block: Block): void {
    this.#free.splice(this.#position(block), 1);
  }

  /** The first place in the list whose block is not smaller. */
  #position({ size, start }: { readonly size: number; readonly start: number }): number {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#free[middle]!;
      if (other.size < size || (other.size === size && other.start < start)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
