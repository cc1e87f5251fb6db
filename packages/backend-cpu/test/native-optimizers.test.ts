import { beforeAll, describe, expect, it } from "vitest";
import { available, expectWithin, native, sameOnThreads, values } from "./native-support.ts";

describe.skipIf(!native).each(available)("optimizer steps on %s", (level) => {
  const k = native!.kernels;
  beforeAll(() => void native!.select(level));
  const n = 70_005;
  const [p, g, m, v] = [values(n, 1), values(n, 2), values(n, 3, 0.1), values(n, 4, 0.01).map(Math.abs)];

  it.each([0, 1, 2] as const)("adam with its decay in order %i", (order) => {
    const [lr, b1, b2, eps, wd, c1, c2] = [1e-2, 0.9, 0.999, 1e-8, 0.1, 1 - 0.9 ** 3, 1 - 0.999 ** 3];
    const [np, nm, nv] = sameOnThreads(() => {
      const [a, b, c] = [p.slice(), m.slice(), v.slice()];
      k.adam(a, g, b, c, n, lr, b1, b2, eps, wd, c1, c2, order);
      return [a, b, c] as const;
    });
    const grad = Array.from(g, (x, i) => (order === 2 ? x + wd * p[i]! : x));
    const em = Array.from(m, (x, i) => b1 * x + (1 - b1) * grad[i]!);
    const ev = Array.from(v, (x, i) => b2 * x + (1 - b2) * grad[i]! ** 2);
    const decay = 1 - lr * wd;
    const ep = Array.from(p, (x, i) => {
      const step = ((lr / c1) * em[i]!) / (Math.sqrt(ev[i]! / c2) + eps);
      return order === 0 ? x * decay - step : order === 1 ? (x - step) * decay : x - step;
    });
    expectWithin(nm!, em, 1, 2e-7);
    expectWithin(nv!, ev, ev, 3e-7);
    // what is subtracted from the parameter is larger than the difference
    const parts = ep.map((x, i) => Math.abs(x) + Math.abs(p[i]!) + Math.abs(p[i]! - x));
    expectWithin(np!, ep, parts, 4e-7);
  });

  it("in the order of bitsandbytes a gradient that is not finite leaves its parameter and clears its moments", () => {
    const bad = g.slice();
    const places = [0, 5, 8, n - 1];
    for (const [i, place] of places.entries())
      bad[place] = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN][i]!;
    const [np, nm, nv] = sameOnThreads(() => {
      const [a, b, c] = [p.slice(), m.slice(), v.slice()];
      k.adam(a, bad, b, c, n, 1e-2, 0.9, 0.999, 1e-8, 0.1, 0.1, 0.001, 1);
      return [a, b, c] as const;
    });
    for (const at of places) expect([np![at], nm![at], nv![at]]).toEqual([p[at], 0, 0]);
    expect(np!.every(Number.isFinite)).toBe(true);
    const clean = p.slice();
    k.adam(clean, g, m.slice(), v.slice(), n, 1e-2, 0.9, 0.999, 1e-8, 0.1, 0.1, 0.001, 1);
    for (const at of places) clean[at] = p[at]!;
    expect(np).toEqual(clean);
  });

  it("lion moves by the sign of the mixed momentum", () => {
    const [lr, b1, b2, wd] = [1e-2, 0.9, 0.99, 0.1];
    const [grad, held] = [g.slice(), m.slice()];
    grad.fill(0, 10, 20);
    held.fill(0, 10, 20);
    grad[30] = Number.NaN;
    const [np, nm] = sameOnThreads(() => {
      const [a, b] = [p.slice(), held.slice()];
      k.lion(a, grad, b, n, lr, b1, b2, wd);
      return [a, b] as const;
    });
    expect([np![30], nm![30]]).toEqual([Number.NaN, Number.NaN]);
    [np![30], nm![30], grad[30]] = [0, 0, 0];
    const ep = Array.from(p, (x, i) => x * (1 - lr * wd) - lr * Math.sign(b1 * held[i]! + (1 - b1) * grad[i]!));
    const em = Array.from(held, (x, i) => b2 * x + (1 - b2) * grad[i]!);
    [ep[30], em[30]] = [0, 0];
    expectWithin(np!, ep, 1, 2e-7);
    expectWithin(nm!, em, 1, 2e-7);
  });

  it.each([
    { centered: false, momentum: 0, meanOnly: 0 },
    { centered: true, momentum: 0.9, meanOnly: 0 },
    { centered: false, momentum: 0.9, meanOnly: 1 },
    { centered: true, momentum: 0, meanOnly: 1 },
  ] as const)("rmsprop: centered $centered, momentum $momentum, meanOnly $meanOnly", (c) => {
    const [lr, alpha, eps, wd] = [1e-2, 0.99, 1e-3, 0.1];
    const mean = m.map((x) => x / 4);
    const [np, nv, na, nb] = sameOnThreads(() => {
      const [a, b, d, e] = [p.slice(), v.map((x) => x + 0.01), mean.slice(), m.slice()];
      const slots = [c.centered ? d : null, c.momentum ? e : null] as const;
      k.rmsprop(a, g, b, ...slots, n, lr, alpha, eps, wd, c.momentum, c.meanOnly);
      return [a, b, d, e] as const;
    });
    const grad = Array.from(g, (x, i) => x + wd * p[i]!);
    const ev = Array.from(v, (x, i) => alpha * (x + 0.01) + (1 - alpha) * grad[i]! ** 2);
    const ea = Array.from(mean, (x, i) => (c.centered ? alpha * x + (1 - alpha) * grad[i]! : x));
    const scaled = ev.map((x, i) => {
      const variance = c.centered ? x - ea[i]! ** 2 : x;
      return (c.meanOnly ? g[i]! : grad[i]!) / (Math.sqrt(variance) + eps);
    });
    const eb = Array.from(m, (x, i) => (c.momentum ? c.momentum * x + scaled[i]! : x));
    const ep = Array.from(p, (x, i) => x - lr * (c.momentum ? eb[i]! : scaled[i]!));
    expectWithin(nv!, ev, ev, 4e-7);
    expectWithin(na!, ea, 1, 2e-7);
    expectWithin(nb!, eb, 20, 1e-6);
    expectWithin(np!, ep, 1, 1e-6);
  });

  it("sgd is torch's formula", () => {
    for (const nesterov of [0, 1] as const)
      for (const first of [0, 1] as const) {
        const [sp, sb] = sameOnThreads(() => {
          const [a, b] = [p.slice(), m.slice()];
          k.sgd(a, g, b, n, 0.1, 0.9, 0.2, nesterov, 0.05, first);
          return [a, b] as const;
        });
        const grad = Array.from(g, (x, i) => x + 0.05 * p[i]!);
        const buf = grad.map((x, i) => (first ? x : 0.9 * m[i]! + 0.8 * x));
        const ep = Array.from(p, (x, i) => x - 0.1 * (nesterov ? grad[i]! + 0.9 * buf[i]! : buf[i]!));
        expectWithin(sb!, buf, 1, 3e-7);
        expectWithin(sp!, ep, 1, 3e-7);
      }
    const plain = p.slice();
    k.sgd(plain, g, null, n, 0.1, 0, 0, 0, 0, 0);
    expect(plain).toEqual(p.map((x, i) => x - Math.fround(g[i]! * Math.fround(0.1))));
  });
});
