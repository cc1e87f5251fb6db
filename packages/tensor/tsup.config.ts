import { defineConfig } from "tsup";

export default defineConfig({
  entry: { index: "src/index.ts", "ops/index": "src/ops/index.ts" },
  format: "esm",
  target: "es2022",
  dts: true,
  clean: true,
});
