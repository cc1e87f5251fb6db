import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { format } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { codeBlocks } from "./readme/blocks.ts";

// Every block of a README or a page of the guide that is marked `ts` is type-checked and run, so that what the documentation says is true.
//   ```ts          checked and run, in an empty folder that has `examples/` in it; what it prints must hold, in order,
//                  every line that a comment `// => ...` promises
//   ```ts no-run   checked only: it needs a large model, a network, or minutes
const tools: string = dirname(fileURLToPath(import.meta.url));
const root: string = dirname(tools);
// Inside `tools`, whose dependencies are all the packages, and inside the project, so that imports go to the sources.
const written: string = join(tools, ".readme");

const readmes: readonly string[] = [
  "README.md",
  ...["packages", "examples"].flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => join(parent, name, "README.md")),
  ),
  ...readdirSync(join(root, "docs/guide")).map((name) => join("docs/guide", name)),
]
  .map((path) => join(root, path))
  .filter((path) => existsSync(path));

const blocks = readmes.flatMap((path) =>
  codeBlocks(readFileSync(path, "utf8")).map((block) => {
    const name = relative(root, path).replaceAll("\\", "/");
    return {
      ...block,
      title: `${name}:${block.line}`,
      file: join(written, `${name.replaceAll("/", "-")}-${block.line}.ts`),
    };
  }),
);

let scratch: string;
const home: string = process.cwd();

beforeAll(() => {
  rmSync(written, { recursive: true, force: true });
  mkdirSync(written, { recursive: true });
  for (const { file, code } of blocks) writeFileSync(file, `${code}\nexport {};\n`);
  scratch = mkdtempSync(join(tmpdir(), "ft-readme-"));
  symlinkSync(join(root, "examples"), join(scratch, "examples"), "junction");
});
afterAll(() => {
  process.chdir(home);
  rmSync(scratch, { recursive: true, force: true });
  rmSync(written, { recursive: true, force: true });
});

test("every code block type-checks", () => {
  const { config } = ts.readConfigFile(join(root, "tsconfig.base.json"), (path) => readFileSync(path, "utf8"));
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const loose = { ...options, isolatedDeclarations: false, declaration: false, noUnusedLocals: false };
  const program = ts.createProgram(
    blocks.map((block) => block.file),
    loose,
  );
  const errors = blocks.flatMap(({ file, line, title }) => {
    const source = program.getSourceFile(file);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map((each) => {
      const at = source && each.start !== undefined ? source.getLineAndCharacterOfPosition(each.start).line : 0;
      return `${title.split(":")[0]}:${line + 1 + at}: ${ts.flattenDiagnosticMessageText(each.messageText, "\n")}`;
    });
  });
  expect(errors).toEqual([]);
});

const runs = blocks.filter((block) => !block.info.includes("no-run"));
describe.runIf(runs.length > 0)("code blocks run", () => {
  test.each(runs)(
    "$title",
    async ({ file, code }) => {
      process.chdir(scratch);
      const printed: string[] = [];
      const log = vi.spyOn(console, "log").mockImplementation((...args) => {
        printed.push(format(...args));
      });
      await import(/* @vite-ignore */ file).finally(() => log.mockRestore());
      let at = 0;
      for (const [, promised] of code.matchAll(/\/\/ => (.*)$/gm)) {
        const found = printed.indexOf(promised?.trim() ?? "", at);
        expect(found, `"${promised}" among ${JSON.stringify(printed.slice(at))}`).toBeGreaterThanOrEqual(0);
        at = found + 1;
      }
    },
    120_000,
  );
});
