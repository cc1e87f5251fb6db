import { spawnSync } from "node:child_process";

/**
 * The first Python that can import all of `modules`: the one asked for, FT_PYTHON, python3. What was found instead is said
 * on standard error.
 * @param {string | undefined} asked
 * @param {readonly string[]} modules
 * @returns {string | undefined}
 */
export function findPython(asked, modules) {
  const candidates = [asked, process.env.FT_PYTHON, "python3"].filter((one) => one !== undefined && one !== "");
  for (const python of candidates)
    if (spawnSync(python, ["-c", `import ${modules.join(", ")}`], { stdio: "ignore" }).status === 0) return python;
  console.error(`no Python with ${modules.join(", ")} (tried ${candidates.join(", ")}): no peer to compare with`);
  return undefined;
}
