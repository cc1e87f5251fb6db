import { readdir } from "node:fs/promises";
import { FtError } from "@ft/tensor";
import { suggestValue } from "../config/suggest.ts";
import { openForExport } from "../export/opened.ts";
import { type BnbFlags, toBnb } from "../export/to-bnb.ts";
import { type SafetensorsFlags, toSafetensors } from "../export/to-safetensors.ts";
import type { Io } from "../io.ts";
import { exists } from "../run/exists.ts";
import { closing, openBackend } from "../run/open-backend.ts";
import { resolveModel } from "../run/resolve-model.ts";

/** What a model can be exported to. */
export const targets = ["safetensors", "bnb", "vllm"] as const;

type Target = (typeof targets)[number];

export interface ExportFlags extends SafetensorsFlags, Omit<BnbFlags, "type"> {
  readonly to: string;
  readonly model: string;
  readonly adapter?: string;
  readonly type?: string;
  readonly threads?: number;
}

/** `ft export`: a model, with an adapter merged if one is given, in the form that another tool reads. */
export async function exportCommand(flags: ExportFlags, io: Io, signal: AbortSignal): Promise<void> {
  const to = targetOf(flags.to);
  const type = typeOf(to, flags.type);
  await refuseUsed(flags.out);
  const place = await resolveModel(flags.model, "model", io, signal);
  using opened = closing(await openBackend("cpu", flags));
  const { backend } = opened;
  const model = await openForExport(place.path, backend, flags);
  if (to === "bnb") return toBnb(model, { ...flags, type }, { backend, io, signal });
  const use =
    to === "vllm" &&
    ({ text: "Served with vLLM, which reads the template from the folder:", command: served(flags.out) } as const);
  return toSafetensors(model, flags, { backend, named: place.base, io, signal, ...(use && { use }) });
}

/** `ft merge`: `ft export --to safetensors` of an adapter. */
export function mergeCommand(flags: Omit<ExportFlags, "to">, io: Io, signal: AbortSignal): Promise<void> {
  return exportCommand({ ...flags, to: "safetensors" }, io, signal);
}

function served(folder: string): string {
  return `vllm serve ${/[^\w./-]/.test(folder) ? `'${folder}'` : folder}`;
}

function targetOf(given: string): Target {
  const found = targets.find((target) => target === given);
  if (found !== undefined) return found;
  const near = suggestValue(given, targets);
  const meant = near === undefined ? "" : `; did you mean ${near}?`;
  throw new FtError("config", `there is no export to "${given}"${meant}`, `use --to ${targets.join(", ")}`);
}

function typeOf(to: Target, given = "nf4"): BnbFlags["type"] {
  const types = ["nf4", "fp4", "int8"] as const;
  const found = types.find((type) => type === given);
  if (found !== undefined) return found;
  throw new FtError("config", `--type ${given} is none of ${to}'s`, `use --type ${types.join(", ")}`);
}

async function refuseUsed(folder: string): Promise<void> {
  if (await exists(folder)) {
    const empty = (await readdir(folder).catch(() => ["a file"])).length === 0;
    throw new FtError(
      "exists",
      `${folder} exists already${empty ? ", though empty" : ""}`,
      "remove it or choose another --out",
    );
  }
}
