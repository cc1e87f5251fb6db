import type { ChatTurn } from "./modelfile.ts";

/** A chat format in Ollama's template language (Go's text/template), and what it gives. */
export interface ChatFormat {
  readonly name: string;
  /** over .System and .Messages; system messages among the latter are passed over, since .System has them */
  readonly template: string;
  /** the same in TypeScript: to compare with a model's own template */
  readonly render: (system: string | undefined, turns: readonly ChatTurn[]) => string;
}

function withSystem(system: string | undefined, turns: readonly ChatTurn[]): readonly ChatTurn[] {
  return system === undefined ? turns : [{ role: "system", content: system }, ...turns];
}

/** Formats that write every message alike: marks before and after it. */
function uniform(name: string, before: (role: string) => string, after: string, assistant: string): ChatFormat {
  const wrapped = (role: string, content: string): string => `${before(role)}${content}${after}`;
  return {
    name,
    template:
      `{{ if .System }}${wrapped("system", "{{ .System }}")}{{ end }}` +
      `{{ range .Messages }}{{ if ne .Role "system" }}${wrapped("{{ .Role }}", "{{ .Content }}")}{{ end }}{{ end }}${assistant}`,
    render: (system, turns) =>
      withSystem(system, turns)
        .map(({ role, content }) => wrapped(role, content))
        .join("") + assistant,
  };
}

const llama2: ChatFormat = {
  name: "Llama 2",
  template:
    '{{ range $i, $m := .Messages }}{{ if eq .Role "user" }}{{ if gt $i 1 }}<s>{{ end }}[INST] ' +
    "{{ if and $.System (lt $i 2) }}<<SYS>>\n{{ $.System }}\n<</SYS>>\n\n{{ end }}{{ .Content }} [/INST]" +
    '{{ else if eq .Role "assistant" }} {{ .Content }} </s>{{ end }}{{ end }}',
  render: (system, turns) =>
    turns
      .map(({ role, content }, i) => {
        if (role !== "user") return ` ${content} </s>`;
        const first = system !== undefined && i === 0 ? `<<SYS>>\n${system}\n<</SYS>>\n\n` : "";
        return `${i > 0 ? "<s>" : ""}[INST] ${first}${content} [/INST]`;
      })
      .join(""),
};

/** Formats with a counterpart in Ollama's language. */
export const chatFormats: readonly ChatFormat[] = [
  uniform("ChatML", (role) => `<|im_start|>${role}\n`, "<|im_end|>\n", "<|im_start|>assistant\n"),
  uniform(
    "Llama 3",
    (role) => `<|start_header_id|>${role}<|end_header_id|>\n\n`,
    "<|eot_id|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
  ),
  llama2,
  uniform("role marks", (role) => `<|${role}|>`, "<|end|>", "<|assistant|>"),
];

/** Chats that formats differ in: one turn, several, with and without a system message. */
const probes: readonly { readonly system: string | undefined; readonly turns: readonly ChatTurn[] }[] = [
  undefined,
  "You are terse.",
].flatMap((system) =>
  [1, 3, 5].map((count) => ({
    system,
    turns: Array.from(
      { length: count },
      (_, i): ChatTurn => ({
        role: i % 2 === 0 ? "user" : "assistant",
        content: `Text ${i}: a b, 你好!`,
      }),
    ),
  })),
);

/**
 * The format that gives a model's own texts for a set of chats, and the system message that its template adds to chats without one;
 * undefined where none does.
 */
export function chatFormat(
  render: (turns: readonly ChatTurn[]) => string,
  bos: string,
): (ChatFormat & { readonly system?: string }) | undefined {
  const texts = probes.map(({ system, turns }) => {
    try {
      const text = render(withSystem(system, turns));
      return bos !== "" && text.startsWith(bos) ? text.slice(bos.length) : text;
    } catch {
      return undefined; // some templates refuse a system message; such a one is not known here
    }
  });
  for (const format of chatFormats) {
    const own = (fallback: string | undefined): boolean =>
      probes.every(({ system, turns }, i) => texts[i] === format.render(system ?? fallback, turns));
    if (own(undefined)) return format;
    const added = addedSystem(format, texts[0]);
    if (added !== undefined && own(added)) return { ...format, system: added };
  }
  return undefined;
}

/** The system message in a text that was rendered without one, by where the format puts it. */
function addedSystem(format: ChatFormat, text: string | undefined): string | undefined {
  const marker = "\u0000";
  const [before, after] = format.render(marker, probes[0]!.turns).split(marker);
  if (text === undefined || before === undefined || after === undefined) return undefined;
  if (!text.startsWith(before) || !text.endsWith(after) || text.length < before.length + after.length) return undefined;
  return text.slice(before.length, text.length - after.length);
}
