import type { CudaBackend, CudaReport } from "@ft/backend-cuda";
import { dryCard } from "@ft/backend-cuda";
import { describe, expect, it } from "vitest";
import { ft } from "../../test/run-ft.ts";
import { type CudaDoor, describeBackend, openBackend } from "./open-backend.ts";

const libraries = { unusable: [], looked: [] };
const old = { device: 0, name: "Tesla T4", capability: 75, memory: 16e9, why: "no bf16" };
const card = { device: 1, name: "NVIDIA H100 80GB HBM3", capability: 90, memory: 85e9 };
const usable: CudaReport = { usable: true, cards: [old, card], libraries, problems: [] };
const broken: CudaReport = {
  usable: false,
  cards: [card],
  libraries,
  problems: [{ what: "cuBLASLt: it was not found", fix: "ft setup cuda", fatal: true }],
};

function door(report: CudaReport, given: object[] = []): CudaDoor {
  const createCudaBackend = async (options: object = {}): Promise<CudaBackend> => {
    given.push(options);
    return { name: "cuda", card: { ...card, multiprocessors: 132 } } as unknown as CudaBackend;
  };
  return { present: () => true, load: async () => ({ inspectCuda: () => report, createCudaBackend, dryCard }) };
}

describe("openBackend", () => {
  it("does not so much as load the cuda package where auto finds no card, and says nothing", async () => {
    const notes: string[] = [];
    const load = () => Promise.reject(new Error("loaded"));
    const backend = await openBackend("auto", { note: (line) => notes.push(line) }, { present: () => false, load });
    expect([backend.name, notes]).toEqual(["cpu", []]);
  });

  it("takes the first card that is usable, and says so once", async () => {
    const [notes, given]: [string[], object[]] = [[], []];
    const options = { note: (line: string) => notes.push(line), deterministic: true, cudaGraphs: false };
    const backend = await openBackend("auto", options, door(usable, given));
    expect(given).toEqual([{ device: 1, deterministic: true, graphs: false }]);
    expect(notes).toEqual(["backend auto: cuda, NVIDIA H100 80GB HBM3"]);
    expect(describeBackend(backend)).toBe("cuda, NVIDIA H100 80GB HBM3");
  });

  it("falls back to the cpu with auto, saying why", async () => {
    const notes: string[] = [];
    const backend = await openBackend("auto", { note: (line) => notes.push(line) }, door(broken));
    expect([backend.name, notes]).toEqual(["cpu", [expect.stringMatching(/cpu, since cuBLASLt.*ft setup cuda/)]]);
  });

  it("refuses cuda where it cannot be used: what is missing, and the alternative", async () => {
    await expect(openBackend("cuda", {}, door(broken))).rejects.toMatchObject({
      code: "backend",
      message: expect.stringMatching(/cuBLASLt: it was not found/),
      hint: "run `ft setup cuda`, or use --backend cpu",
    });
  });
});

it("says on the CPU that activations in 16 bits are slow, and nothing of f32", async () => {
  const notes: string[] = [];
  for (const dtype of ["f32", "bf16"] as const) await openBackend("cpu", { dtype, note: (line) => notes.push(line) });
  expect(notes).toEqual([expect.stringMatching(/^dtype bf16 is computed by slow reference kernels here.*on a card/)]);
});

it.each([
  ["--backend", "cuad", "cuda"],
  ["--backend", "gpu", "cuda"],
  ["--dtype", "fp16", "f16"],
  ["--dtype", "bf61", "bf16"],
])("ft train and ft generate %s %s ask whether %s is meant", async (flag, wrong, right) => {
  for (const args of [["train"], ["generate", "--model", "M"]]) {
    const { code, err } = await ft(...args, flag, wrong);
    expect([code, err]).toEqual([2, expect.stringContaining(`Did you mean ${right}?`)]);
  }
});

it("ft train with a backend that there is not names those that there are", async () => {
  const { code, err } = await ft("train", "--backend", "tpu");
  expect([code, err]).toEqual([2, expect.stringMatching(/'tpu' is invalid.*auto, cpu, cuda/)]);
});
