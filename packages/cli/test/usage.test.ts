import { existsSync } from "node:fs";
import { join } from "node:path";
import { loraConfig } from "@ft/lora";
import { describe, expect, it, vi } from "vitest";
import { flagSpecs } from "../src/config/schema.ts";
import { usualValue } from "../src/config/usual.ts";
import { allOptimizers } from "../src/train/optimizer.ts";
import { emptyFolder, ft } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

describe("ft data refuses", () => {
  it("a way of truncation that there is not", async () => {
    const folder = await emptyFolder();
    const [model, data] = [await tinyModel(join(folder, "model")), await someRows(join(folder, "rows.json"))];
    const { code, err } = await ft("data", "stats", "--data", data, "--model", model, "--truncation", "start");
    expect([code, err]).toEqual([2, expect.stringMatching(/'start' is invalid.*end, drop, error/)]);
  });

  it.each(["0", "1", "-1", "2", "half"])("to hold out a fraction of %s", async (fraction) => {
    const folder = await emptyFolder();
    const [data, out] = [await someRows(join(folder, "rows.json")), join(folder, "split")];
    const { code, err } = await ft("data", "split", "--data", data, "--out", out, "--fraction", fraction);
    expect([code, err]).toEqual([2, expect.stringMatching(/'--fraction <f>' argument .* is invalid/)]);
    expect(existsSync(out)).toBe(false);
  });
});

describe("ft chat", () => {
  it("ends with 130 at the first Ctrl-C, also while it waits for a line", async () => {
    const model = await tinyModel(join(await emptyFolder(), "model"));
    const listeners = process.listenerCount("SIGINT");
    const running = ft("chat", "--model", model);
    await vi.waitUntil(() => process.listenerCount("SIGINT") > listeners && process.stdin.listenerCount("end") > 0);
    process.emit("SIGINT");
    expect(await running).toEqual({ code: 130, out: "", err: "" });
  }, 10_000);
});

describe("ft train --help", () => {
  it("names every optimizer that there is", () => {
    const { description } = flagSpecs().find(({ flag }) => flag === "--optimizer")!;
    const named = description.split(/[,;]? (?:with 8-bit state )?/).sort();
    expect(named).toEqual(Object.keys(allOptimizers).sort());
  });

  it("says the rank that @ft/lora uses, without loading it", () => {
    expect(usualValue(["lora", "r"])).toBe(String(loraConfig().r));
    expect(loraConfig().alpha).toBe(2 * loraConfig().r);
  });
});
