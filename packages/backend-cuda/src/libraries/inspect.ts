import { FtError } from "@ft/tensor";
import { type Card, type Driver, findDriver, listCards } from "./cards.ts";
import { findLibraries, type Libraries } from "./search.ts";

/** All that the CUDA backend needs of a machine, and what of it is there. */
export interface CudaReport {
  /** createCudaBackend would succeed, as far as one can see without trying */
  readonly usable: boolean;
  readonly driver?: Driver;
  readonly cards: readonly Card[];
  readonly libraries: Libraries;
  /** what stands in the way, or slows it down; the first is the one to mend first */
  readonly problems: readonly CudaProblem[];
}

/** Something that is missing, and the one thing that mends it. */
export interface CudaProblem {
  readonly what: string;
  readonly fix: string;
  /** false: it works all the same, more slowly */
  readonly fatal: boolean;
}

/** How the parts of the report are found out; tests give their own. */
export interface Inspection {
  readonly driver: () => Driver;
  readonly cards: () => readonly Card[];
  readonly libraries: (driverCuda: number | undefined) => Libraries;
}

const thisInspection: Inspection = {
  driver: () => findDriver(),
  cards: () => listCards(),
  libraries: (driverCuda) => findLibraries({ driverCuda }),
};

/** Looks at driver, cards and libraries without opening a card. Never throws for what is missing. */
export function inspectCuda(inspection: Inspection = thisInspection): CudaReport {
  const problems: CudaProblem[] = [];
  const tried = <T>(look: () => T): T | undefined => {
    try {
      return look();
    } catch (error) {
      if (!FtError.is(error)) throw error;
      const what = error.message.slice(0, -error.hint.length - 2).replace(/^\[cuda\] /, "");
      problems.push({ what, fix: error.hint, fatal: true });
      return undefined;
    }
  };
  const driver = tried(inspection.driver);
  const cards = (driver && tried(inspection.cards)) ?? [];
  const libraries = inspection.libraries(driver && Math.floor(driver.cuda / 1000));
  if (driver && problems.length === 0) {
    if (cards.length === 0)
      problems.push({
        what: "the driver shows no card",
        fix: "look at CUDA_VISIBLE_DEVICES and nvidia-smi, or use the backend cpu",
        fatal: true,
      });
    else if (cards.every(({ why }) => why !== undefined))
      problems.push({ what: `${cards[0]?.name}: ${cards[0]?.why}`, fix: "use the backend cpu", fatal: true });
    else problems.push(...missingLibraries(libraries));
  }
  return {
    usable: !problems.some(({ fatal }) => fatal),
    ...(driver && { driver }),
    cards,
    libraries,
    problems,
  };
}

/** A library that the environment names wrongly is mended there; any other one by fetching it. */
function missingLibraries({ cublasLt, cudnn, unusable }: Libraries): CudaProblem[] {
  const problems: CudaProblem[] = [];
  for (const [found, name, file, variable, rest] of [
    [cublasLt, "cuBLASLt", "libcublasLt", "FT_CUBLASLT", ""],
    [cudnn, "cuDNN", "libcudnn", "FT_CUDNN", "; attention runs in slower kernels of its own"],
  ] as const) {
    if (found) continue;
    const named = unusable.find(({ from, why }) => from === "environment" && why.startsWith(variable));
    const refused = named ?? unusable.find(({ path }) => path.includes(`${file}.so`));
    const why = refused ? `${refused.path} cannot be used: ${refused.why}` : "it was not found";
    const fix = refused?.from === "environment" ? `unset ${variable}, or name a file that fits` : "ft setup cuda";
    problems.push({ what: `${name}: ${why}${rest}`, fix, fatal: name === "cuBLASLt" });
  }
  return problems;
}
