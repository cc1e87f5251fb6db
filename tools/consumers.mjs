#!/usr/bin/env node
// Installs llama.cpp, onnxruntime and transformers.js for the tests that load exports with them: outside the workspace,
// because they take some hundred megabytes and nobody needs them for anything else. Without them those tests skip, visibly.
//   node tools/consumers.mjs
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/process.mjs";

const folder = join(root, "tools", "consumers");
const { dependencies } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));

// onnxruntime's install script fetches CUDA libraries, llama.cpp's optional packages are binaries for cards and other
// machines: neither is wanted, only the binary for this machine's processor.
const binary = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
};
const machine = `${process.platform}-${process.arch}`;
const platform = binary[machine];
const wanted = [
  ...Object.entries(dependencies).map(([name, version]) => `${name}@${version}`),
  ...(platform === undefined
    ? []
    : [
        `@node-llama-cpp/${platform}@${dependencies["node-llama-cpp"]}`,
        // transformers.js does not start without its image library
        `@img/sharp-${machine}@${dependencies.sharp}`,
        `@img/sharp-libvips-${machine}@1.3.4`,
      ]),
];
const { status } = spawnSync(
  "npm",
  [
    "install",
    "--no-save",
    "--no-package-lock",
    "--ignore-scripts",
    "--omit=optional",
    "--no-audit",
    "--no-fund",
    ...wanted,
  ],
  { cwd: folder, stdio: "inherit", env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" } },
);
process.exitCode = status ?? 1;
