import { FtError } from "@ft/tensor";
import { parse, tokenize } from "@huggingface/jinja";
import type { Message } from "../rows/conversation.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { BoundedInterpreter, templateEnvironment } from "./bounded-interpreter.ts";
import { defaultChatTemplate } from "./default-template.ts";

/** What a rendering may add to the messages. */
export interface RenderOptions {
  /** End with the header of an assistant message, so that the model answers next. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Tool definitions, for templates that show them to the model. */
  readonly tools?: readonly unknown[];
}

/** What a template is made with. */
export interface ChatTemplateOptions {
  /** Names the template in messages. Default "chat template". */
  readonly name?: string;
  /** bos_token, eos_token and so on, as the template calls them. */
  readonly specialTokens?: Readonly<Record<string, string>>;
  /** Further variables the template reads, for example `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /**
   * What `strftime_now` says. Default 26 July 2024, the date that Llama 3 falls back to: a prompt that changes with the
   * day would make a resumed run differ from an uninterrupted one.
   */
  readonly now?: Date;
}

const fixedDate = new Date(Date.UTC(2024, 6, 26));

/**
 * A compiled Jinja chat template, with trim_blocks and lstrip_blocks as in transformers. It cannot run for ever, cannot
 * see anything but its variables, and gives the same text every day.
 */
export class ChatTemplate {
  readonly name: string;
  /** as Jinja */
  readonly source: string;
  readonly #program: unknown;
  readonly #variables: Readonly<Record<string, unknown>>;
  readonly #now: Date;

  /** @throws FtError "format" where the source is not Jinja */
  constructor(source: string, options: ChatTemplateOptions = {}) {
    this.name = options.name ?? "chat template";
    this.source = source;
    this.#variables = { ...options.variables, ...options.specialTokens };
    this.#now = options.now ?? fixedDate;
    try {
      this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (cause) {
      throw this.#error("is not valid Jinja", cause);
    }
  }

  /**
   * The text of a chat. Further fields of a message (`name`, `tool_calls`) reach the template as they are.
   * @throws FtError "data" with the template's own message where it refuses the messages, or where it does not end
   */
  render(messages: readonly Message[], options: RenderOptions = {}): string {
    const variables = {
      ...this.#variables,
      messages: messages.map((message) =>
        Object.fromEntries(Object.entries(message).filter(([field]) => field !== "train")),
      ),
      add_generation_prompt: options.addGenerationPrompt ?? false,
      ...(options.tools === undefined ? {} : { tools: options.tools }),
    };
    try {
      const interpreter = new BoundedInterpreter(templateEnvironment(variables, this.#now));
      return String(interpreter.run(this.#program).value);
    } catch (cause) {
      throw this.#error("cannot render these messages", cause);
    }
  }

  #error(problem: string, cause: unknown): FtError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const hint = "change the messages to what the template takes, or give another template";
    return new FtError(problem.startsWith("is") ? "format" : "data", `${this.name}: ${problem} (${reason})`, hint, {
      cause,
    });
  }
}

/** The template that belongs to a tokenizer: the model's own, or `defaultChatTemplate` where it has none. */
export function chatTemplateOf(tokenizer: Tokenizer, options: ChatTemplateOptions = {}): ChatTemplate {
  const own = tokenizer.chatTemplate;
  return new ChatTemplate(own ?? defaultChatTemplate, {
    name: own === undefined ? "default chat template" : "chat template of the model",
    specialTokens: tokenizer.specialTokens,
    ...options,
  });
}
