import { expect, it } from "vitest";
import { modelCard } from "./card.ts";

it("names a base on the hub, and of a folder the last part only", async () => {
  const facts = { adapter: undefined, form: "GGUF", checks: [] };
  const local = await modelCard({ ...facts, base: "models/mine" });
  expect(local).not.toContain("base_model");
  expect(local).toContain("# mine\n");
  const hub = await modelCard({ ...facts, base: "org/name", hubId: "org/name" });
  expect(hub).toContain("base_model: org/name\n");
  expect(hub).toContain("# org/name\n");
});
