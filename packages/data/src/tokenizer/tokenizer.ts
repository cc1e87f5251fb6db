/** Text to token ids and back. Everything else in the package, and whoever generates, depends on this interface only. */
export interface Tokenizer {
  /** One more than the largest id: the least number of rows that the model's embedding must have. */
  readonly vocabSize: number;
  /** Id that begins every text, where the model has one. */
  readonly bosId?: number;
  /** Id that ends a text. */
  readonly eosId?: number;
  /** Id used for padding, where the model has one. Batches of this package pad with 0 and mask instead. */
  readonly padId?: number;
  /** Whether `encode` puts `bosId` in front: what the model was trained with. */
  readonly addsBos: boolean;
  /** Every id at which generation stops: end of text, end of turn, and what generation_config.json lists. */
  readonly stopIds: readonly number[];
  /** Text of the special tokens as chat templates name them: bos_token, eos_token, pad_token, unk_token. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** Jinja source of the model's chat template, where it has one. */
  readonly chatTemplate?: string;
  /** Token ids of a text. Special tokens written in the text become their ids; `addSpecialTokens` (default true) adds BOS. */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  /** Text of token ids, without any clean-up of white space. Incomplete UTF-8 becomes U+FFFD. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
  /** Id of a token by its exact vocabulary entry. */
  idOf(token: string): number | undefined;
  /** Vocabulary entry of an id. */
  tokenOf(id: number): string | undefined;
  /** True for control tokens: they carry structure, not text. */
  isSpecial(id: number): boolean;
}
