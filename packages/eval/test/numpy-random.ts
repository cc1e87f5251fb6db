/** MT19937 (Matsumoto & Nishimura 1998) under the seed of `numpy.random.seed`: 32 random bits a call. */
export function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) {
    const last = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(1812433253, last) + i;
  }
  let at = 624;
  const turn = (): void => {
    for (let i = 0; i < 624; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff);
      state[i] = state[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    at = 0;
  };
  return () => {
    if (at === 624) turn();
    let y = state[at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/** `count` indices below `below`, as `numpy.random.choice` draws them with replacement: bits under a mask, those too large thrown away. */
export function choice(random: () => number, below: number, count: number): Uint32Array {
  const mask = 2 ** (32 - Math.clz32(below - 1)) - 1;
  return Uint32Array.from({ length: count }, () => {
    let drawn = random() & mask;
    while (drawn >= below) drawn = random() & mask;
    return drawn;
  });
}
