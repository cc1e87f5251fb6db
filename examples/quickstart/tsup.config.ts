import { defineConfig } from "tsup";

export default defineConfig({
  entry: ["src/before-after.ts", "src/main.ts", "src/make-data.ts"],
  format: "esm",
  target: "es2022",
  dts: { entry: "src/before-after.ts" },
  clean: true,
});
