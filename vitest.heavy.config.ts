import { configDefaults, defineConfig } from "vitest/config";
import base from "./vitest.config.ts";

// What takes minutes, or needs what a plain machine lacks: `npm run test:heavy`, and `.ci/run` after `npm test`. Each
// file says what it needs and skips, visibly, without it.
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ["{packages,examples}/*/{src,test}/**/*.heavy.test.ts", "tools/**/*.heavy.test.ts"],
    exclude: configDefaults.exclude,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    fileParallelism: false,
    passWithNoTests: true,
  },
});
