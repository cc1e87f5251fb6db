import { configDefaults, defineConfig, type ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = defineConfig({
  // Tests run against the sources of every package, never against a stale build.
  resolve: { conditions: ["@ft/source"] },
  ssr: { resolve: { conditions: ["@ft/source"] } },
  test: {
    include: ["packages/*/{src,test}/**/*.test.ts", "examples/*/{src,test}/**/*.test.ts", "tools/**/*.test.ts"],
    exclude: [...configDefaults.exclude, "**/*.heavy.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
export default config;
