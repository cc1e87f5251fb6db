import { basename } from "node:path";
import { evaluationNumbers } from "../eval/table.ts";
import { modelCard, type Use } from "../export/card.ts";
import { quoted } from "../export/shell.ts";
import { readEvaluation } from "../report/read-evaluation.ts";
import type { Pushable } from "./pushable.ts";

/**
 * README.md for a folder that has none: what it is, how it was trained, how it answers, and how it is used from the hub.
 * @param paths of the files that go up
 */
export async function cardFor(
  { folder, kind, run }: Pushable,
  { id, base, paths }: { readonly id: string; readonly base: string | undefined; readonly paths: readonly string[] },
): Promise<string> {
  const over = base === undefined ? "" : ` over ${base}`;
  const tuned = run === undefined ? "Model" : `Fine-tuned model${base === undefined ? "" : `, from ${base}`}`;
  const forms = { adapter: `LoRA adapter${over}, in the format of PEFT`, model: tuned, gguf: "GGUF" } as const;
  const found = run === undefined ? undefined : await readEvaluation(run.folder, undefined);
  // the file is named by its path where it was measured
  const general = found?.general && { ...found.general, file: basename(found.general.file) };
  return modelCard({
    base: base ?? "",
    ...(base !== undefined && { hubId: base }),
    title: id.slice(id.indexOf("/") + 1),
    adapter: run === undefined ? undefined : folder,
    form: forms[kind],
    ...(kind === "adapter" && { loader: "peft" }),
    use: usesOf(kind, paths, id, base ?? "BASE"),
    checks: [],
    ...(found && { evaluation: evaluationNumbers({ ...found, ...(general && { general }) }) }),
  });
}

function usesOf(kind: Pushable["kind"], paths: readonly string[], id: string, base: string): readonly Use[] {
  const ft = (rest: string): Use => ({ text: "With ft:", command: `ft chat --model ${rest}` });
  if (kind === "adapter") return [ft(`${base} --adapter "$(ft pull ${id})"`)];
  if (kind === "model") return [ft(id)];
  return paths.filter((path) => path.endsWith(".gguf")).map((path) => ft(quoted(`${id}/${path}`)));
}
