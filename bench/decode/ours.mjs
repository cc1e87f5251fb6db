// Greedy decoding at batch 1, one answer a line on standard input.
//   node ours.mjs '{"model": FOLDER, "prompt": [ids], "tokens": 128, "threads": 2}'
import { createCpuBackend } from "@ft/backend-cpu";
import { generate, loadModel } from "@ft/models";
import { serve } from "../lib/serve.mjs";
import { watch } from "../train/profile.mjs";

const { model: folder, prompt, tokens: maxNewTokens, threads, profile } = JSON.parse(process.argv[2]);
const watcher = profile ? watch() : undefined;
const backend = await createCpuBackend({ threads, ...(watcher && { observe: watcher.observe }) });
const model = await loadModel(folder, { backend });

await serve({
  async step() {
    const from = performance.now();
    let first = 0;
    let tokens = 0;
    for await (const _ of generate(model, prompt, { maxNewTokens, stopIds: [] })) {
      tokens++;
      first ||= performance.now();
    }
    const seconds = (performance.now() - from) / 1000;
    watcher?.step(seconds, tokens);
    return { seconds, first: (first - from) / 1000, tokens };
  },
  async end() {
    return watcher ? { profile: watcher.result(backend.context.native) } : {};
  },
});
