// The parent's side of a race: each contestant is a process that does one step for each line of JSON on its standard input.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {Record<string, any>} ready what it said when it was set up
 * @property {(task?: object) => Promise<Record<string, any>>} step has it do one step, of what `task` says; what it measured
 * @property {() => Promise<Record<string, any>>} end what it says at the end; its peak memory among it
 */

/**
 * Starts a process that prints a JSON line when it is set up, one after each line on its standard input, and a last one
 * when that is closed. While it waits it must not use the processor.
 * @param {string} name
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Contestant>}
 */
export async function contestant(name, command, args, env) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (text) => {
    errors = (errors + text).slice(-4000);
  });
  const exit = new Promise((done) => {
    child.on("error", (error) => done(error.message));
    child.on("close", (code, signal) => done(`it ended with ${signal ?? code}`));
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stdin.on("error", () => {}); // a process that has died is reported by the line that does not come
  const answer = async () => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${name}: ${await exit}\n${errors.trim()}`);
      // libraries print lines of their own
      if (value.startsWith("{")) return JSON.parse(value);
    }
  };
  const end = async () => {
    child.stdin.end();
    return answer();
  };
  const step = async (task = {}) => {
    child.stdin.write(`${JSON.stringify(task)}\n`);
    return answer();
  };
  return { name, ready: await answer(), step, end };
}
