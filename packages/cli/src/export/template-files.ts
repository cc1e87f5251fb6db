/**
 * Files of a tokenizer with a chat template in both places where programs look: chat_template.jinja, which wins in transformers, and
 * tokenizer_config.json, the only one that transformers.js reads.
 */
export function templateFiles(
  files: ReadonlyMap<string, Uint8Array>,
  template: string | undefined,
): ReadonlyMap<string, Uint8Array> {
  if (template === undefined) return files;
  const config: object = JSON.parse(Buffer.from(files.get("tokenizer_config.json") ?? Buffer.from("{}")).toString());
  const text = JSON.stringify({ ...config, chat_template: template }, null, 2);
  return new Map([
    ...files,
    ["tokenizer_config.json", Buffer.from(`${text}\n`)],
    ["chat_template.jinja", Buffer.from(template)],
  ]);
}
