import { FtError } from "@ft/tensor";
import type { TokenizerFiles } from "./tokenizer-files.ts";

/** llama.cpp's `tokenizer.ggml.token_type`. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Token texts and types by id, one for each row of the embedding. */
export interface TokenList {
  readonly tokens: string[];
  readonly types: Int32Array;
}

/**
 * The vocabulary by id. Rows of the embedding that no token has, of tables padded to a round number, become unused tokens. Errors: "data"
 * (a token beyond the embedding, two tokens of one id, two ids of one text).
 */
export function tokenList({ vocabulary, added }: TokenizerFiles, rows: number): TokenList {
  const tokens: (string | undefined)[] = new Array(rows).fill(undefined);
  const types = new Int32Array(rows).fill(tokenTypes.normal);
  for (const [token, id] of vocabulary) {
    if (id >= rows)
      throw new FtError(
        "data",
        `[exportGguf] the tokenizer has "${token}" at id ${id}, the embedding has ${rows} rows`,
        "use the tokenizer that came with the model",
      );
    if (tokens[id] !== undefined)
      throw new FtError(
        "data",
        `[exportGguf] the tokenizer has "${tokens[id]}" and "${token}" at id ${id}`,
        "give each token its own id",
      );
    tokens[id] = token;
  }
  for (const { id, content, special } of added) {
    const control = special || looksSpecial(content);
    types[id] = control ? tokenTypes.control : tokenTypes.userDefined;
    // texts of such tokens are matched as they are, and llama.cpp knows U+2581 for a space in normal tokens only
    if (!control) tokens[id] = content.replaceAll("\u2581", " ");
  }
  const texts = tokens.map((token, id) => {
    if (token === undefined) types[id] = tokenTypes.unused;
    return token ?? `[PAD${id}]`;
  });
  checkDistinct(texts);
  return { tokens: texts, types };
}

/** Markers that some models' files do not call special; llama.cpp's converter takes them for control tokens as well. */
function looksSpecial(text: string): boolean {
  return /^<\|.*\|>$|^<｜.*｜>$|^<unused.*>$|^(<pad>|<mask>|<2mass>|\[@BOS@\])$/su.test(text);
}

/** llama.cpp refuses a file in which two ids have one text. */
function checkDistinct(texts: readonly string[]): void {
  const ids = new Map<string, number>();
  for (const [id, text] of texts.entries()) {
    const first = ids.get(text);
    if (first !== undefined)
      throw new FtError(
        "data",
        `[exportGguf] the tokens ${first} and ${id} are both ${JSON.stringify(text)}`,
        "llama.cpp needs distinct ones: mend tokenizer.json",
      );
    ids.set(text, id);
  }
}
