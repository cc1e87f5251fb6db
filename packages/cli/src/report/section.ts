import { type Fragment, type Html, html } from "./html.ts";

/** A part of the page under its heading, which the contents link to. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly content: Fragment;
}

/** A section's markup. */
export function sectionHtml({ id, title, content }: Section): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${content}
</section>
`;
}

/** Names and values; a value that is undefined leaves its row out. */
export function listOf(rows: readonly (readonly [name: string, value: Fragment])[]): Html {
  const shown = rows.filter(([, value]) => value !== undefined && value !== "");
  return html`<dl class="list">${shown.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** A table that scrolls inside itself where the page is too narrow. */
export function tableOf(caption: string, head: readonly Fragment[], rows: readonly (readonly Fragment[])[]): Html {
  const row = ([first, ...rest]: readonly Fragment[]): Html =>
    html`<tr><th scope="row">${first}</th>${rest.map((cell) => html`<td>${cell}</td>`)}</tr>\n`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>
${rows.map(row)}</tbody>
</table></div>`;
}
