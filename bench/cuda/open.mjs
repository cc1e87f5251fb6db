// A backend to measure, and what can be asked of it while it works.
import { memory } from "@ft/tensor";

/**
 * @param {"cuda" | "cpu"} name
 * @param {{profile?: boolean, graphs?: boolean, deterministic?: boolean}} options
 */
export async function openBackend(name, { profile = false, ...options }) {
  const { backend, work } = name === "cuda" ? await openCuda(profile, options) : await openCpu();
  // what the host spends outside of this is its own work: the backend waits nowhere else
  let waited = 0;
  const read = backend.read.bind(backend);
  backend.read = async (...args) => {
    const from = performance.now();
    try {
      return await read(...args);
    } finally {
      waited += performance.now() - from;
    }
  };
  return {
    backend,
    work,
    /** milliseconds in which the host waited for the backend since the last call */
    takeWaited() {
      const sum = waited;
      waited = 0;
      return sum;
    },
    restartPeak() {
      memory(backend).peak = memory(backend).bytes;
      backend.restartPeak?.();
    },
    /** bytes of tensors at most; of the allocator too, with work areas; what it holds; how often it asked the driver */
    memory() {
      const { peakBytes, heldBytes, made } = backend.stats ?? {};
      return { tensorPeak: memory(backend).peak, peak: peakBytes ?? memory(backend).peak, held: heldBytes, made };
    },
  };
}

async function openCuda(profile, { graphs = !profile, deterministic = false }) {
  const { cardProfile, createCudaBackend } = await import("@ft/backend-cuda");
  const work = profile ? cardProfile() : undefined;
  const backend = await createCudaBackend({ graphs, deterministic, ...(work && { observe: work.observe }) });
  return { backend, work };
}

async function openCpu() {
  const { createCpuBackend } = await import("@ft/backend-cpu");
  return { backend: await createCpuBackend({ threads: 2 }), work: undefined };
}
