// Steps of a root command, each with its time, and one table at the end.

/**
 * @typedef {{code: number, output: string}} Result
 * @typedef {{name: string, run: () => Promise<Result>, needed?: boolean, live?: boolean}} Step
 *   needed: nothing after it makes sense when it fails; live: it prints by itself as it goes
 */

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`.padStart(8);

/**
 * Runs the steps one after another. The output of a step is shown when it fails, so that the reason is the last thing
 * above the table; a failure is remembered and the following steps still run, unless the step was needed.
 * @param {readonly Step[]} steps
 * @returns {Promise<number>} exit code
 */
export async function runSteps(steps) {
  const started = performance.now();
  const lines = [];
  let failed = 0;
  for (const step of steps) {
    const from = performance.now();
    if (step.live) console.log(`\n── ${step.name}`);
    const { code, output } = await step.run();
    const line = `${code === 0 ? "ok    " : "FAILED"} ${seconds(from)}  ${step.name}`;
    lines.push(line);
    if (code !== 0) {
      failed++;
      if (!step.live) console.log(output.trimEnd());
    }
    console.log(line);
    if (code === 130) return 130;
    if (code !== 0 && step.needed) {
      console.log(`stopped: the steps after "${step.name}" need it`);
      break;
    }
  }
  console.log(`\n${lines.join("\n")}\n${failed === 0 ? "ok    " : "FAILED"} ${seconds(started)}  all`);
  return failed === 0 ? 0 : 1;
}
