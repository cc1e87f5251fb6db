/**
 * The chat template for models that bring none (base models): headings in plain text, so no token has to be new, and the
 * end-of-text token after each answer, so that the model learns to stop. The wording follows Stanford Alpaca's prompt.
 */
export const defaultChatTemplate: string = [
  "{%- for message in messages -%}",
  "{%- if not loop.first -%}{{ '\\n\\n' }}{%- endif -%}",
  "{%- if message.role == 'system' -%}{{ message.content }}",
  "{%- elif message.role == 'user' -%}{{ '### Instruction:\\n' + message.content }}",
  "{%- elif message.role == 'tool' -%}{{ '### Tool:\\n' + message.content }}",
  "{%- else -%}{{ '### Response:\\n' + message.content + (eos_token or '') }}",
  "{%- endif -%}",
  "{%- endfor -%}",
  "{%- if add_generation_prompt -%}{{ '\\n\\n### Response:\\n' }}{%- endif -%}",
].join("");
