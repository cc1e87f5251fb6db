import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { emptyFolder, type Ran } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

/** What a run is made of. */
export interface Setup {
  readonly folder: string;
  readonly model: string;
  readonly data: string;
  readonly out: string;
}

/** A tiny model and rows, and where a run would be written. */
export async function setup(): Promise<Setup> {
  const folder = await emptyFolder();
  return {
    folder,
    model: await tinyModel(join(folder, "model")),
    data: await someRows(join(folder, "rows.json")),
    out: join(folder, "run"),
  };
}

/** What every refusal looks like: exit code 2, one message that names the thing, no stack trace, nothing at `written`. */
export function expectRefusal({ code, out, err }: Ran, message: RegExp, written: string): void {
  expect(err).toMatch(message);
  expect(err).not.toMatch(/^\s+at .*:\d+:\d+/m);
  expect(err).not.toMatch(/internal fault|TypeError|SyntaxError/);
  expect(code).toBe(2);
  expect(out).toBe("");
  expect(existsSync(written), "what it would have written").toBe(false);
}
