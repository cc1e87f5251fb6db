import { rm } from "node:fs/promises";

/** Does what follows a written export. Where that fails the folder is taken away again: without check or card it would only look whole. */
export async function orWithdraw<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}
