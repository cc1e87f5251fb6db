import { basename, resolve } from "node:path";
import type { GgufOrigin } from "@ft/export";
import type { ExportJob } from "./job.ts";

/** What .gguf files of this job are called, without their type: the base as it was named, without folders and ending. */
export function ggufName({ named, opened }: ExportJob): string {
  const name =
    basename(resolve(named))
      .replace(/\.gguf$/i, "")
      .replace(/[^\w.-]+/g, "-")
      .replace(/^[.-]+|-+$/g, "") || "model";
  return opened.adapter === undefined ? name : `${name}-tuned`;
}

/** What such a file says of its origin. */
export function ggufOrigin(name: string, { hubId }: ExportJob): GgufOrigin {
  return { name, ...(hubId !== undefined && { baseModel: hubId }) };
}
