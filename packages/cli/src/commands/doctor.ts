import { availableParallelism, totalmem } from "node:os";
import { createCpuBackend } from "@ft/backend-cpu";
import type { CudaReport, Found } from "@ft/backend-cuda";
import { FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { size } from "../plan/sizes.ts";
import { describeBackend } from "../run/open-backend.ts";
import { version } from "../version.ts";

/** `ft doctor`: what this machine can compute on, what is missing, and the one command that mends it. */
export async function doctorCommand(io: Io): Promise<void> {
  const cpu = await createCpuBackend().catch((error: unknown) => {
    if (FtError.is(error)) return error;
    throw error;
  });
  const { capabilityText, cudaText, inspectCuda } = await import("@ft/backend-cuda");
  const report = inspectCuda();
  const { driver, cards, libraries, problems } = report;
  const row = (name: string, text: string): void => io.print(`${name.padEnd(12)}${text}`);
  row("ft", `${version}, Node ${process.versions.node}, ${process.platform} ${process.arch}`);
  const engine = FtError.is(cpu) ? cpu.message : describeBackend(cpu).replace(/^cpu, /, "");
  row("cpu", `${engine}; ${availableParallelism()} cores, ${size(totalmem())}`);
  row("driver", driver ? `${driver.version ?? "version unknown"}, runs CUDA ${cudaText(driver.cuda)}` : "none");
  for (const { device, name, capability, memory, why } of cards)
    row(
      `card ${device}`,
      `${name}, ${size(memory)}, compute capability ${capabilityText(capability)}${why === undefined ? "" : `: ${why}`}`,
    );
  row("cuBLASLt", describeFound(libraries.cublasLt));
  row("cuDNN", describeFound(libraries.cudnn));
  for (const { path, why } of libraries.unusable) row("", `${path} is left out: ${why}`);
  row("backend", summary(report));
  for (const { what, fatal } of problems) row(fatal ? "missing" : "slower", what);
  const [first] = problems;
  if (first) row("to mend it", first.fix);
  io.document({
    ft: version,
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    cpu: {
      ...(FtError.is(cpu) ? { missing: cpu.message } : { engine: cpu.engine, threads: cpu.threads }),
      cores: availableParallelism(),
      memory: totalmem(),
    },
    cuda: { ...report, ...(driver && { driver: { ...driver, cuda: cudaText(driver.cuda) } }) },
    backend: report.usable ? "cuda" : "cpu",
  });
}

function describeFound(found: Found | undefined): string {
  if (found === undefined) return "not found";
  const { path, from, version: its, cuda } = found;
  return `${its ?? "version unknown"}${cuda === undefined ? "" : ` for CUDA ${cuda}`}, ${path} (${from})`;
}

function summary({ usable, cards }: CudaReport): string {
  if (!usable) return "cpu; models of some hundred million parameters train well on it";
  const card = cards.find(({ why }) => why === undefined);
  return `cuda, on card ${card?.device}; --backend cpu is there too`;
}
