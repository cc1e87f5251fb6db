import { randomFrom } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { Arena, alignment, type Ground } from "./arena.ts";

/** Ground of so many pieces, which remembers where memory lies. */
function ground(pieces: number, piece = 4096): Ground & { readonly there: Set<number> } {
  const there = new Set<number>();
  return {
    piece,
    there,
    fill(first, count) {
      if (there.size + count > pieces) return false;
      for (let i = 0; i < count; i++) {
        expect(there.has(first + i)).toBe(false);
        there.add(first + i);
      }
      return true;
    },
    empty(at) {
      expect(there.delete(at)).toBe(true);
    },
  };
}

describe("Arena", () => {
  it("never lets blocks overlap, and keeps memory under every one of them", () => {
    const under = ground(10_000);
    const arena = new Arena(under);
    const random = randomFrom(1);
    const live = new Map<number, number>();
    let bytes = 0;
    for (let i = 0; i < 20_000; i++) {
      const [first] = live;
      if (first && random.chance(0.5)) {
        const [start, size] = [...live][random.int(0, live.size - 1)] ?? first;
        arena.give(start);
        live.delete(start);
        bytes -= Math.ceil(size / alignment) * alignment;
      } else {
        const size = random.int(1, random.chance(0.1) ? 100_000 : 3000);
        const start = arena.take(size);
        if (start === undefined) throw new Error("no memory");
        for (const [other, length] of live) expect(start + size <= other || other + length <= start).toBe(true);
        for (let at = Math.floor(start / 4096); at * 4096 < start + size; at++) expect(under.there.has(at)).toBe(true);
        live.set(start, size);
        bytes += Math.ceil(size / alignment) * alignment;
      }
      expect(arena.liveBytes).toBe(bytes);
      if (live.size > 60)
        for (const start of [...live.keys()].slice(0, 40)) {
          bytes -= Math.ceil(live.get(start)! / alignment) * alignment;
          arena.give(start);
          live.delete(start);
        }
    }
    for (const start of live.keys()) arena.give(start);
    expect(arena.liveBytes).toBe(0);
    arena.trim();
    expect(under.there.size).toBe(0);
    expect(arena.heldBytes).toBe(0);
  });

  it("asks for no memory in its steady state", () => {
    const arena = new Arena(ground(1000));
    const step = (): void => {
      const held = [5000, 100, 70_000, 5000].map((bytes) => arena.take(bytes)!);
      for (const start of held) arena.give(start);
    };
    step();
    const before = arena.fills;
    for (let i = 0; i < 100; i++) step();
    expect(arena.fills).toBe(before);
  });

  it("takes the smallest free block that fits", () => {
    const arena = new Arena(ground(1000));
    const [large, , small] = [8192, alignment, 2048, alignment].map((bytes) => arena.take(bytes)!);
    arena.give(large!);
    arena.give(small!);
    expect(arena.take(1500)).toBe(small);
    expect(arena.take(8000)).toBe(large);
  });

  it("moves idle memory to where it is needed when it is trimmed, never by itself", () => {
    const arena = new Arena(ground(4));
    const [a, b, c] = [4096, 4096, 4096].map((bytes) => arena.take(bytes)!);
    arena.give(a!);
    arena.give(c!);
    // two idle pieces with one in use between them, and one that was never filled
    expect(arena.take(3 * 4096)).toBeUndefined();
    arena.trim();
    expect(arena.take(3 * 4096)).toBeDefined();
    expect(arena.take(4096)).toBeUndefined();
    arena.give(b!);
    arena.trim();
    expect(arena.take(4096)).toBeDefined();
  });
});
