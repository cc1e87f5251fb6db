#!/usr/bin/env node
// Every symbol that a package exports has a doc comment, or the build fails.
//   node tools/check-docs.mjs [--root DIR]
import { existsSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import ts from "typescript";
import { root } from "./lib/process.mjs";
import { workspace } from "./lib/workspace.mjs";

const flag = process.argv.indexOf("--root");
const at = flag < 0 ? root : resolve(process.argv[flag + 1] ?? ".");

/** The source files behind a package's export map. */
function entries({ dir, manifest }) {
  return Object.values(manifest.exports ?? {})
    .map((target) => (typeof target === "object" ? target["@ft/source"] : undefined))
    .filter((source) => source && existsSync(join(dir, source)))
    .map((source) => join(dir, source));
}

const published = workspace(at).filter((one) => one.manifest.private !== true);
const files = published.flatMap(entries);
const config = join(at, "tsconfig.base.json");
const { options } = ts.parseJsonConfigFileContent(
  existsSync(config) ? ts.parseConfigFileTextToJson(config, readFileSync(config, "utf8")).config : {},
  ts.sys,
  at,
);
const program = ts.createProgram(files, options);
const checker = program.getTypeChecker();

function documented(symbol) {
  if (symbol.getDocumentationComment(checker).length > 0) return true;
  // Overloads and merged declarations share one comment; `declarations` of an imported symbol live elsewhere.
  return (symbol.declarations ?? []).some((node) => ts.getJSDocCommentsAndTags(node).length > 0);
}

const problems = new Map();
let count = 0;
for (const file of files) {
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) continue; // a file without exports is no module
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declaration = symbol.declarations?.[0];
    if (!declaration || declaration.getSourceFile().fileName.includes("/node_modules/")) continue;
    count++;
    if (documented(symbol)) continue;
    const where = declaration.getSourceFile();
    const { line } = where.getLineAndCharacterOfPosition(declaration.getStart());
    problems.set(
      symbol,
      `${relative(at, where.fileName)}:${line + 1}: ${exported.name} is exported and has no doc comment`,
    );
  }
}
for (const problem of [...problems.values()].sort()) console.error(problem);
if (problems.size > 0) process.exitCode = 1;
else console.log(`documentation: ${count} exported symbols, each with a doc comment`);
