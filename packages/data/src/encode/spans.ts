import type { Message, TrainingMessage } from "../rows/conversation.ts";
import type { ChatTemplate } from "../template/chat-template.ts";

/** A trained answer within the rendered text, in UTF-16 positions. */
export interface AnswerSpan {
  /** Index of the assistant message. */
  readonly message: number;
  /** Where the model starts to write: behind the header that a generation prompt would have given it. */
  readonly start: number;
  /** Behind what closes the message. */
  readonly end: number;
  /**
   * Set where the template rewrites this turn once others follow: the answer is sure to reach to here, and `end` may lie
   * within the next header. Only a special token between the two is known to close the turn.
   */
  readonly sureEnd?: number;
}

/** The rendered chat and where its trained answers lie in it; `unclear` lists messages that could not be placed. */
export interface RenderedAnswers {
  readonly text: string;
  readonly spans: readonly AnswerSpan[];
  readonly unclear: readonly number[];
}

/**
 * Renders a chat and finds its trained answers from how the template renders its beginnings, never by searching the text.
 *
 * An answer starts where "everything before it + generation prompt" ends and ends where "everything up to it" ends, both
 * being checked to be true beginnings of the whole text. Templates that rewrite earlier turns once later ones exist fail
 * that check. For them the answer's content is replaced by a marker: what the two renderings share in front and behind
 * gives its place, and the closing of the turn is what the whole text and the beginning have in common after it.
 */
export function renderAnswers(template: ChatTemplate, messages: readonly TrainingMessage[]): RenderedAnswers {
  const text = template.render(messages);
  const spans: AnswerSpan[] = [];
  const unclear: number[] = [];
  let cursor = 0;
  messages.forEach((message, index) => {
    if (!message.train) return;
    const before = tryRender(template, messages.slice(0, index), true);
    const upTo = index === messages.length - 1 ? text : tryRender(template, messages.slice(0, index + 1), false);
    const starts = before !== undefined && before.length >= cursor && text.startsWith(before);
    const ends = upTo !== undefined && text.startsWith(upTo);
    const content = starts && ends ? undefined : contentSpan(template, messages, index, text);
    const start = starts ? before.length : content?.start;
    const closing = content && !ends ? sharedClosing(template, messages, index, text, content.end, upTo) : 0;
    const end = ends ? upTo.length : content && content.end + closing;
    if (start === undefined || end === undefined || start < cursor || end < start) {
      unclear.push(index);
      return;
    }
    spans.push({ message: index, start, end, ...(ends || !content ? {} : { sureEnd: content.end }) });
    cursor = end;
  });
  return { text, spans, unclear };
}

/** A beginning of a chat can be something the template refuses (no message yet, no user); that only means: no help. */
function tryRender(
  template: ChatTemplate,
  messages: readonly Message[],
  addGenerationPrompt: boolean,
): string | undefined {
  try {
    return template.render(messages, { addGenerationPrompt });
  } catch {
    return undefined;
  }
}

/** Private-use characters: templates pass them on as they are, and no trimming touches them. */
const marker = "\uE0F1\uE0F2\uE0F3";

/** Where the content of one message stands in `text`, from rendering the chat again with a marker in its place. */
function contentSpan(
  template: ChatTemplate,
  messages: readonly TrainingMessage[],
  index: number,
  text: string,
): { start: number; end: number } | undefined {
  const replaced = messages.map((message, i) => (i === index ? { ...message, content: marker } : message));
  const marked = tryRender(template, replaced, false);
  const start = marked?.indexOf(marker) ?? -1;
  if (marked === undefined || start === -1 || marked.indexOf(marker, start + 1) !== -1) return undefined;
  const end = text.length - (marked.length - start - marker.length);
  const same =
    text.slice(0, start) === marked.slice(0, start) && text.slice(end) === marked.slice(start + marker.length);
  return same && end >= start ? { start, end } : undefined;
}

/** Length of the turn's closing: what follows the content both in the whole text and when the chat stops there. */
function sharedClosing(
  template: ChatTemplate,
  messages: readonly TrainingMessage[],
  index: number,
  text: string,
  contentEnd: number,
  upTo: string | undefined,
): number {
  if (upTo === undefined) return 0;
  const alone = contentSpan(template, messages.slice(0, index + 1), index, upTo);
  if (alone === undefined) return 0;
  let length = 0;
  while (alone.end + length < upTo.length && text[contentEnd + length] === upTo[alone.end + length]) length++;
  return length;
}
