/** A fenced block of TypeScript in a Markdown file. */
export interface CodeBlock {
  readonly code: string;
  /** of the opening fence, from 1 */
  readonly line: number;
  /** the words after the language */
  readonly info: readonly string[];
}

/** The blocks that open with ```ts, in order. A block that is never closed is an error: its rest would go unchecked. */
export function codeBlocks(markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open:
    | { readonly fence: string; readonly line: number; readonly info: readonly string[]; readonly code: string[] }
    | undefined;
  markdown.split(/\r?\n/).forEach((text, i) => {
    const fence = /^\s*(`{3,}|~{3,})(.*)$/.exec(text);
    if (open) {
      if (fence && fence[2]?.trim() === "" && fence[1]?.startsWith(open.fence)) {
        const [language, ...info] = open.info;
        if (language === "ts" || language === "typescript")
          blocks.push({ code: open.code.join("\n"), line: open.line, info });
        open = undefined;
      } else open.code.push(text);
    } else if (fence)
      open = { fence: fence[1] ?? "", line: i + 1, info: fence[2]?.trim().split(/\s+/) ?? [], code: [] };
  });
  if (open) throw new Error(`the code block of line ${open.line} is never closed`);
  return blocks;
}
