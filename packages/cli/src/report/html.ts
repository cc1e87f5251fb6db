/** Markup that is known to be safe: made by `html`, whose holes are escaped. */
export class Html {
  readonly markup: string;
  constructor(markup: string) {
    this.markup = markup;
  }
}

/** What may stand in a hole: text is escaped, markup is not, nothing leaves nothing. */
export type Fragment = Html | string | number | undefined | false | readonly Fragment[];

/** A template whose holes are escaped, for text and for attributes in quotes. */
export function html(parts: TemplateStringsArray, ...holes: readonly Fragment[]): Html {
  return new Html(parts.map((part, i) => (i === 0 ? part : markupOf(holes[i - 1]) + part)).join(""));
}

function markupOf(fragment: Fragment): string {
  if (fragment === undefined || fragment === false) return "";
  if (fragment instanceof Html) return fragment.markup;
  if (typeof fragment === "object") return fragment.map(markupOf).join("");
  return escapeHtml(String(fragment));
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text that means itself in HTML, also inside quotes. */
export function escapeHtml(text: string): string {
  // a NUL is an error in HTML; other control characters are shown as nothing
  return text.replaceAll("\0", "\uFFFD").replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** JSON that cannot end the script element that holds it. */
export function scriptJson(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll("<", "\\u003c"));
}
