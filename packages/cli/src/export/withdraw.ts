import { rmSync } from "node:fs";
import { rm } from "node:fs/promises";

/**
 * Does what follows a written export. Where that fails, or the process is made to end meanwhile, the folder is taken away again: without
 * check or card it would only look whole.
 */
export async function orWithdraw<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const undo = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", undo);
  try {
    return await work();
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
    throw error;
  } finally {
    process.off("exit", undo);
  }
}
