import { readdir } from "node:fs/promises";
import { FtError } from "@ft/tensor";
import type { ExportFlags } from "../export/job.ts";
import { openForExport } from "../export/opened.ts";
import { checkFlags, targetOf } from "../export/targets.ts";
import type { Io } from "../io.ts";
import { exists } from "../run/exists.ts";
import { closing, openBackend } from "../run/open-backend.ts";
import { resolveModel } from "../run/resolve-model.ts";

/** `ft export`: a model, with an adapter merged if one is given, in the form that another tool reads. */
export async function exportCommand(
  flags: ExportFlags & { readonly to: string },
  io: Io,
  signal: AbortSignal,
): Promise<void> {
  signal.addEventListener("abort", () => io.note("stopping: what was written is taken away"), { once: true });
  const { target, types } = targetOf(flags.to, flags.type);
  checkFlags(flags.to, target, flags);
  await refuseUsed(flags.out);
  const place = await resolveModel(flags.model, "model", io, signal);
  using held = closing(await openBackend("cpu", flags));
  const { backend } = held;
  const opened = await openForExport(place.path, backend, flags);
  await target.run({
    opened,
    flags,
    type: types[0] ?? "",
    types,
    named: place.base,
    ...(place.hubId !== undefined && { hubId: place.hubId }),
    backend,
    io,
    signal,
  });
}

/** `ft merge`: `ft export --to safetensors` of an adapter. */
export function mergeCommand(flags: ExportFlags, io: Io, signal: AbortSignal): Promise<void> {
  return exportCommand({ ...flags, to: "safetensors" }, io, signal);
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
