import { FtError } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { ChatTemplate, chatTemplateOf, defaultChatTemplate } from "../index.ts";

const hello = [{ role: "user" as const, content: "Hello" }];

function failure(source: string): FtError {
  try {
    new ChatTemplate(source, { name: "t.jinja" }).render(hello);
  } catch (error) {
    if (FtError.is(error)) return error;
    throw error;
  }
  throw new Error("rendered");
}

describe("ChatTemplate", () => {
  it("names the template and what is wrong with it", () => {
    expect(failure("{% for m in messages %}").code).toBe("format");
    expect(failure("{% for m in messages %}").message).toContain("t.jinja: is not valid Jinja");
    expect(failure("{{ raise_exception('No system role') }}").code).toBe("data");
    expect(failure("{{ raise_exception('No system role') }}").message).toContain(
      "t.jinja: cannot render these messages (No system role)",
    );
    expect(failure("{{ messages[0].content + 1 - 'x' }}").message).toContain("t.jinja: cannot render");
  });

  it.each([
    ["{% for i in range(100000000) %}x{% endfor %}", /range\(\) of 100000000 numbers/],
    ["{% for i in range(60000) %}{% for j in range(60000) %}{% endfor %}{{ i }}{% endfor %}", /steps/],
    ["{% for i in range(60000) %}{% for j in range(60000) %}x{{ j }}{% endfor %}{% endfor %}", /steps/],
    [
      "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
      /longer than/,
    ],
    ["{% for i in range(60000) %}{% for j in range(60000) %}{% break %}{% endfor %}{% endfor %}", /steps/],
    [
      "{% set n = namespace(x=[1, 2]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
      /list longer than/,
    ],
    ["{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /cannot render/],
  ])("stops %s", (source, message) => {
    const start = performance.now();
    expect(failure(source).message).toMatch(message);
    expect(performance.now() - start).toBeLessThan(30_000);
  });

  it("shows nothing of JavaScript", () => {
    const at = (expression: string): string => new ChatTemplate(`{{ ${expression} is defined }}`).render(hello);
    for (const name of [
      "process",
      "globalThis",
      "messages.constructor",
      "messages[0].__proto__",
      "messages[0].constructor",
    ]) {
      expect(at(name)).toBe("false");
    }
    expect(at("messages[0].content")).toBe("true");
  });

  it("strips the characters it is told, as Python does", () => {
    const strip = (call: string): string => new ChatTemplate(`{{ '[' + 'xy a yx'.${call} + ']' }}`).render(hello);
    expect(strip("strip('xy')")).toBe("[ a ]");
    expect(strip("lstrip('x')")).toBe("[y a yx]");
    expect(strip("rstrip('yx ')")).toBe("[xy a]");
    expect(strip("strip()")).toBe("[xy a yx]");
  });

  it("tells the same day every day, unless told otherwise", () => {
    const source = "{{ strftime_now('%d %b %Y, %-d %B %y %H:%M:%S %j') }}";
    expect(failure(source).message).toContain("the directive %j is not known");
    const clock = "{{ strftime_now('%A %d %b %Y, %-m/%-d/%y %H:%M:%S %I %p %%') }}";
    expect(new ChatTemplate(clock).render([])).toBe("Friday 26 Jul 2024, 7/26/24 00:00:00 12 AM %");
    const now = new Date(Date.UTC(2025, 0, 5, 15, 4, 9));
    expect(new ChatTemplate(clock, { now }).render([])).toBe("Sunday 05 Jan 2025, 1/5/25 15:04:09 03 PM %");
  });

  it("gives models without a template plain headings and the end-of-text token", () => {
    const tokenizer: any = { specialTokens: { eos_token: "</s>" } };
    const chat = [
      { role: "system" as const, content: "Be brief." },
      { role: "user" as const, content: "Hi" },
      { role: "assistant" as const, content: "Hello" },
      { role: "user" as const, content: "Bye" },
    ];
    expect(chatTemplateOf(tokenizer).render(chat, { addGenerationPrompt: true })).toBe(
      "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello</s>\n\n### Instruction:\nBye\n\n### Response:\n",
    );
    expect(new ChatTemplate(defaultChatTemplate).render(chat.slice(1, 3))).toBe(
      "### Instruction:\nHi\n\n### Response:\nHello",
    );
    expect(chatTemplateOf({ ...tokenizer, chatTemplate: "own {{ eos_token }}" }).render(chat)).toBe("own </s>");
  });
});
