import * as ops from "@ft/tensor/ops";
import { expect, it } from "vitest";
import { opCases } from "./op-cases.ts";

it("has a case for every built-in op", () => {
  const built: string[] = Object.values(ops).flatMap((x) =>
    typeof x === "object" && x !== null && "infer" in x ? [x.name] : [],
  );
  expect(built.length).toBeGreaterThan(15);
  const covered = new Set(opCases.map((c) => c.op.name));
  expect(built.filter((name) => !covered.has(name))).toEqual([]);
});
