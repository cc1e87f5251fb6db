// The child's side of a race: see contestant.mjs.
import { createInterface } from "node:readline";

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/**
 * Says `ready`, does `step` for each line of JSON on standard input, and says `end` with the peak memory when that is closed.
 * @param {{ready?: object, step: (task: any) => Promise<object>, end?: () => Promise<object>}} of
 */
export async function serve({ ready = {}, step, end = async () => ({}) }) {
  say(ready);
  for await (const line of createInterface({ input: process.stdin })) say(await step(JSON.parse(line)));
  // before `end`, which may take memory of its own
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  say({ ...(await end()), peakBytes });
}
