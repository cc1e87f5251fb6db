import { fileURLToPath } from "node:url";
import { ChatTemplate, loadTokenizer, type Message } from "@ft/data";
import { golden } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { chatFormats } from "./chat-formats.ts";
import { type ChatTurn, modelfile } from "./modelfile.ts";

interface Golden {
  readonly templates: Record<string, string>;
  readonly chats: readonly (readonly ChatTurn[])[];
  readonly rendered: Record<string, readonly string[]>;
}
const ollama = await golden<Golden>(
  new URL("../../../../tools/goldens/data/ollama-templates/golden.json", import.meta.url),
);

const system: ChatTurn = { role: "system", content: "Be brief." };
const chatml =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
/** SmolLM2's, which has a system message of its own. */
const smollm2 = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}`;
const llama3 =
  "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";
const llama2 =
  "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

function renderer(source: string, tokens: Record<string, string> = {}): (turns: readonly ChatTurn[]) => string {
  const template = new ChatTemplate(source, { specialTokens: tokens });
  return (turns) => template.render(turns as Message[], { addGenerationPrompt: true });
}
const quickstart = await loadTokenizer(
  fileURLToPath(new URL("../../../../examples/quickstart/model", import.meta.url)),
);

describe("chat formats", () => {
  it("are written in Ollama's language as Go executes them", () => {
    expect(Object.fromEntries(chatFormats.map(({ name, template }) => [name, template]))).toEqual(ollama.templates);
    for (const { name, render } of chatFormats)
      for (const [i, chat] of ollama.chats.entries()) {
        const own = render(
          chat.find(({ role }) => role === "system")?.content,
          chat.filter(({ role }) => role !== "system"),
        );
        expect(own, name).toBe(ollama.rendered[name]![i]);
      }
  });
});

describe("modelfile", () => {
  it.each([
    ["ChatML", chatml, {}, ""],
    ["Llama 3", llama3, { bos_token: "<|begin_of_text|>" }, "<|begin_of_text|>"],
    ["Llama 2", llama2, { bos_token: "<s>", eos_token: "</s>" }, "<s>"],
    ["role marks", quickstart.chatTemplate!, {}, ""],
  ])("finds the template of %s by what it renders", (name, source, tokens, bos) => {
    const { text, hasTemplate } = modelfile({ from: "./model.gguf", render: renderer(source, tokens), bos });
    expect(hasTemplate).toBe(true);
    expect(text).toBe(`FROM ./model.gguf\nTEMPLATE """${ollama.templates[name]}"""\n`);
  });

  it("keeps the system message that a template adds by itself, unless another is given", () => {
    const render = renderer(smollm2);
    const { text } = modelfile({ from: "./m.gguf", render });
    expect(text).toContain(`TEMPLATE """${ollama.templates.ChatML}"""`);
    expect(text).toContain('SYSTEM """You are a helpful AI assistant named SmolLM, trained by Hugging Face"""');
    expect(modelfile({ from: "./m.gguf", render, system: "Be brief." }).text).toContain('SYSTEM """Be brief."""');
  });

  it("leaves the template to Ollama where none gives the same texts", () => {
    const dated = (turns: readonly ChatTurn[]): string => `Today is Friday.\n${renderer(chatml)(turns)}`;
    const refusing = (turns: readonly ChatTurn[]): string => {
      if (turns[0]!.role === "system") throw new Error("no system messages");
      return renderer(chatml)(turns);
    };
    for (const render of [dated, refusing, renderer("{{ messages[0].content }}"), undefined]) {
      const made = modelfile({ from: "./m.gguf", ...(render && { render }) });
      expect(made.hasTemplate).toBe(false);
      expect(made.text).toMatch(/^FROM \.\/m\.gguf\n# No TEMPLATE: .*\n# .*\n$/);
    }
  });

  it("writes stops, parameters and an adapter", () => {
    const { text } = modelfile({
      ...{ from: "./base.gguf", adapter: "./lora.gguf", stops: ["<|im_end|>", 'a "quoted" one'] },
      ...{ parameters: { num_ctx: 2048, temperature: 0.7 }, system: system.content },
    });
    expect(text.split("\n")).toEqual([
      "FROM ./base.gguf",
      "ADAPTER ./lora.gguf",
      expect.stringMatching(/^# No TEMPLATE/),
      expect.stringMatching(/^# /),
      'SYSTEM """Be brief."""',
      'PARAMETER stop "<|im_end|>"',
      'PARAMETER stop "a \\"quoted\\" one"',
      "PARAMETER num_ctx 2048",
      "PARAMETER temperature 0.7",
      "",
    ]);
  });

  it("leaves out what its syntax cannot hold of the model's own, and says so", () => {
    const quoting = 'You say "yes"';
    const render = renderer(
      chatml.replace(
        "{% for m",
        `{% if messages[0].role != 'system' %}{{ '<|im_start|>system\n${quoting}<|im_end|>\n' }}{% endif %}{% for m`,
      ),
    );
    const { text, hasTemplate } = modelfile({ from: "./m.gguf", render, stops: ["\n", "<|im_end|>", ""] });
    expect(hasTemplate).toBe(true);
    expect(text.slice(text.indexOf('"""\n') + 4).split("\n")).toEqual([
      expect.stringMatching(/^# No SYSTEM: /),
      '# "You say \\"yes\\""',
      expect.stringMatching(/^# No stop at "\\n": /),
      'PARAMETER stop "<|im_end|>"',
      expect.stringMatching(/^# No stop at "": /),
      "",
    ]);
    expect(modelfile({ from: "./m.gguf", render, system: "Be brief." }).text).toContain('SYSTEM """Be brief."""');
  });

  it.each([
    { from: "a\nSYSTEM b" },
    { from: "" },
    { from: "a", adapter: "b\nSYSTEM c" },
    { from: "a", parameters: { temperature: "1\nSYSTEM b" } },
    { from: "a", system: 'say """' },
    { from: "a", system: 'say "yes"' },
  ])("refuses what its syntax cannot hold of what else was given: %j", (options) => {
    expect(() => modelfile(options)).toThrow(expect.objectContaining({ code: "input" }));
  });
});
