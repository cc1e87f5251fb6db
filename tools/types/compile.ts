import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const here: string = dirname(fileURLToPath(import.meta.url));
const base: string = join(here, "..", "..", "tsconfig.base.json");

/** What the compiler says about one file. */
export interface Verdict {
  /** of every error, the last line of its chain: the line that names the mistake */
  readonly last: readonly string[];
  /** the whole text of every error, to show when an expectation fails */
  readonly text: string;
}

/** The strict options of this repository, for sources that exist in memory only and import packages as a user would. */
export function compile(sources: ReadonlyMap<string, string>): {
  readonly verdicts: ReadonlyMap<string, Verdict>;
  readonly instantiations: number;
} {
  const files = new Map([...sources].map(([name, text]) => [join(here, `${name}.ts`), text]));
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(base, (path) => readFileSync(path, "utf8")).config,
    ts.sys,
    here,
  );
  const host = ts.createCompilerHost({ ...options, noErrorTruncation: true, noUnusedLocals: false });
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, languageVersion, ...rest) => {
    const text = files.get(path);
    return text === undefined
      ? getSourceFile(path, languageVersion, ...rest)
      : ts.createSourceFile(path, text, languageVersion);
  };
  const program = ts.createProgram(
    [...files.keys()],
    { ...options, noErrorTruncation: true, noUnusedLocals: false },
    host,
  );
  const verdicts = new Map(
    [...files.keys()].map((path) => {
      const file = program.getSourceFile(path);
      const diagnostics = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
      const texts = diagnostics.map((each) => ts.flattenDiagnosticMessageText(each.messageText, "\n"));
      const last = texts.map((text) => text.split("\n").at(-1)?.trim() ?? "");
      return [path.slice(here.length + 1, -".ts".length), { last, text: texts.join("\n") }] as const;
    }),
  );
  return { verdicts, instantiations: program.getInstantiationCount() };
}
