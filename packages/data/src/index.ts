export { assembleBatch, type Batch } from "./batch/batch.ts";
export { type Batches, type BatchesOptions, batches } from "./batch/batches.ts";
export { epochBatches } from "./batch/epoch-batches.ts";
export { epochOrder } from "./batch/order.ts";
export { packBestFit } from "./batch/pack.ts";
export { type EncodeOptions, encodeConversation, type Truncation } from "./encode/encode-conversation.ts";
export { type EncodeStats, encodeConversations } from "./encode/encode-conversations.ts";
export { countTargets, type Example, ignoredTarget } from "./encode/example.ts";
export { renderPrompt } from "./encode/render-prompt.ts";
export { type PreviewSpan, previewExample } from "./preview.ts";
export type { Conversation, Message, Role, RowSource, TrainingMessage } from "./rows/conversation.ts";
export { describeSource } from "./rows/conversation.ts";
export { loadRows } from "./rows/load-rows.ts";
export { toConversation } from "./rows/to-conversation.ts";
export { questionKey, type SplitOptions, splitRows } from "./split.ts";
export { type DataStats, dataStats, type LengthStats } from "./stats.ts";
export {
  ChatTemplate,
  type ChatTemplateOptions,
  chatTemplateOf,
  type RenderOptions,
} from "./template/chat-template.ts";
export { defaultChatTemplate } from "./template/default-template.ts";
export { checkVocabulary } from "./tokenizer/check-vocabulary.ts";
export { tokenizerFromGguf } from "./tokenizer/gguf-tokenizer.ts";
export { tokenizerFilesFromGguf } from "./tokenizer/gguf-tokenizer-files.ts";
export { type TokenizerSettings, tokenizerFromJson } from "./tokenizer/json-tokenizer.ts";
export { loadTokenizer } from "./tokenizer/load-tokenizer.ts";
export type { Tokenizer } from "./tokenizer/tokenizer.ts";
