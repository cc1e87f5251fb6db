import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { expect, it, vi } from "vitest";
import { setup } from "./refusal.ts";
import { ft } from "./run-ft.ts";

const closed = vi.hoisted((): { at?: () => void } => ({}));
vi.mock("../src/run/open-backend.ts", async (importOriginal) => ({
  ...(await importOriginal<object>()),
  openBackend: async () => Object.assign(await createCpuBackend(), { dispose: () => closed.at?.() }),
}));

it("holds its backend until the evaluation is written: a card's memory is gone when it is closed", async () => {
  const { folder, model, data } = await setup();
  const out = join(folder, "evaluation");
  const seen: boolean[] = [];
  closed.at = () => {
    const file = join(out, "eval.json");
    seen.push(existsSync(file) && JSON.parse(readFileSync(file, "utf8")).finished === true);
  };
  const ran = await ft(
    "eval",
    "--model",
    model,
    "--data",
    data,
    "--metrics",
    "perplexity",
    "--out",
    out,
    "--limit",
    "2",
  );
  expect(ran.code, ran.err).toBe(0);
  expect(seen).toEqual([true]);
});
