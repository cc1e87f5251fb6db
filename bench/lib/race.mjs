// Contestants take turns step by step, so that whatever else slows the machine down falls on all of them.
import { median } from "./numbers.mjs";

/**
 * Runs `warm` + `timed` rounds of one step each.
 * @param {readonly import("./contestant.mjs").Contestant[]} contestants
 * @param {{warm?: number, timed?: number}} [rounds]
 * @returns {Promise<{name: string, seconds: number, all: number[], ready: any, last: any, end: any}[]>}
 *   seconds: the median of the timed steps
 */
export async function race(contestants, { warm = 1, timed = 3 } = {}) {
  const results = contestants.map(({ name, ready }) => ({ name, ready, all: [], last: undefined, end: undefined }));
  for (let round = 0; round < warm + timed; round++)
    for (const [i, contestant] of contestants.entries()) {
      const said = await contestant.step();
      if (round < warm) continue;
      results[i].last = said;
      results[i].all.push(said.seconds);
    }
  for (const [i, contestant] of contestants.entries()) results[i].end = await contestant.end();
  return results.map((result) => ({ ...result, seconds: median(result.all) }));
}
