import { FtError } from "@ft/tensor";
import { findLibraries, type Libraries, type SearchOptions } from "./search.ts";

/** What the backend loads; without cuDNN attention runs in kernels of its own. */
export interface RequiredLibraries {
  readonly cublasLt: string;
  readonly cudnn?: string;
}

/** The libraries' files. Throws code "backend" when cuBLASLt is missing; the message says what was found instead. */
export function requireLibraries(options: SearchOptions = {}): RequiredLibraries {
  const found = findLibraries(options);
  if (found.cublasLt === undefined) throw noCublasLt(found);
  return { cublasLt: found.cublasLt.path, ...(found.cudnn && { cudnn: found.cudnn.path }) };
}

function noCublasLt({ unusable }: Libraries): FtError {
  const refused = unusable.find(({ path }) => !path.includes("libcudnn"));
  const why = refused ? `${refused.path} cannot be used: ${refused.why}` : "libcublasLt.so.12 or .13 was not found";
  return new FtError(
    "backend",
    `[cuda] ${why}`,
    "run `ft setup cuda`, or set FT_CUBLASLT to the file, or use the backend cpu",
  );
}
