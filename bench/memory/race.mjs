// Whether memory stays where it is: 2,000 steps of a small run, its size every 100.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { contestant } from "../lib/contestant.mjs";
import { median, table } from "../lib/numbers.mjs";
import { makeModel } from "../lib/random-model.mjs";
import { smollm2 } from "../lib/smollm2.mjs";

const ours = fileURLToPath(new URL("ours.mjs", import.meta.url));
const [total, every] = [2000, 100];
const tiny = {
  ...smollm2,
  vocab_size: 1024,
  hidden_size: 96,
  intermediate_size: 256,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  num_key_value_heads: 2,
};

/** Prints resident memory through a run, and by how much its second half is larger than what came before. */
export async function memoryRace({ threads }) {
  const model = await makeModel(tiny);
  try {
    const settings = JSON.stringify({ model: model.folder, out: join(model.folder, "run"), threads });
    const run = await contestant("ft", process.execPath, [ours, settings], {});
    const seen = [];
    while (seen.length < total / every) seen.push(await run.step({ steps: every }));
    await run.end();
    const mb = (bytes) => (bytes / 1e6).toFixed(1);
    console.log(
      "\nMemory of a small LoRA run: batches of four shapes, evaluation every 100 steps, checkpoints every 200, logs\n",
    );
    const rows = seen.map((at) => [
      `after step ${at.step}`,
      mb(at.rss),
      mb(at.heapTotal),
      mb(at.rss - at.heapTotal),
      mb(at.external),
      mb(at.tensorBytes),
      at.live,
      at.made,
    ]);
    console.log(
      table([
        ["MB", "resident", "V8's heap", "the rest", "buffers", "live tensors", "of them", "made so far"],
        ...rows,
      ]),
    );
    const quarter = (i, of) => median(seen.slice((i * seen.length) / 4, ((i + 1) * seen.length) / 4).map(of));
    const growth = (i, of) => `${((100 * quarter(3, of)) / quarter(i, of) - 100).toFixed(2)} %`;
    const rest = (at) => at.rss - at.heapTotal;
    console.log("\nMedian of the last quarter against that of the second, and of the third");
    console.log(`  resident             ${growth(1, (at) => at.rss)}, ${growth(2, (at) => at.rss)}`);
    console.log(`  without V8's heap    ${growth(1, rest)}, ${growth(2, rest)}`);
    console.log(`buffers made after step ${seen[1].step}: ${seen.at(-1).made - seen[1].made}`);
    return seen;
  } finally {
    await model.remove();
  }
}
