import { writeFileSync } from "node:fs";
import { quickstartData } from "./data.ts";
import { heldoutRows, seed, trainRows } from "./settings.ts";

// Writes data/train.json and data/heldout.json anew: `node dist/make-data.js` in this folder, after the build.
const { train, heldout } = quickstartData(seed, trainRows, heldoutRows);
for (const [name, rows] of Object.entries({ train, heldout })) {
  const file = new URL(`../data/${name}.json`, import.meta.url);
  writeFileSync(file, `${JSON.stringify(rows, null, 1)}\n`);
  console.log(`${rows.length} rows in data/${name}.json`);
}
