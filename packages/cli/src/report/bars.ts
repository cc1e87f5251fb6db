import { type Html, html } from "./html.ts";

/** A bar from the left, as long as its share of the longest. */
export function bar(share: number, style: string): Html {
  const width = Math.max(0, Math.min(100, 100 * share)).toFixed(2);
  return html`<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="${style}" width="${width}" height="10"/></svg>`;
}

/** Parts of a whole in one bar, in order; each has the style "part-0", "part-1" and so on. */
export function stack(parts: readonly number[], whole: number, label: string): Html {
  let at = 0;
  const pieces = parts.map((part, i) => {
    const [x, width] = [(100 * at) / whole, (100 * part) / whole];
    at += part;
    return html`<rect class="part-${i}" x="${x.toFixed(2)}" width="${width.toFixed(2)}" height="10"/>`;
  });
  return html`<svg class="stack" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="${label}">${pieces}</svg>`;
}

/** Counts of bins as columns; `title` says what a bin is. */
export function histogram(counts: readonly number[], title: (bin: number) => string, label: string): Html {
  const most = Math.max(1, ...counts);
  const columns = counts.map((count, i) => {
    const height = count === 0 ? 0 : Math.max(0.8, (96 * count) / most);
    return html`<rect x="${i + 0.06}" y="${(100 - height).toFixed(2)}" width="0.88" height="${height.toFixed(2)}"><title>${title(i)}</title></rect>`;
  });
  return html`<svg class="histogram" viewBox="0 0 ${counts.length} 100" preserveAspectRatio="none" role="img" aria-label="${label}">${columns}</svg>`;
}

/** Values with their intervals, one below the other on one scale. */
export function intervals(
  scores: readonly { readonly value: number; readonly low: number; readonly high: number }[],
): Html {
  const all = scores.flatMap(({ value, low, high }) => [value, low, high]).filter(Number.isFinite);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const x = (value: number): string => (6 + (148 * (value - least)) / (most - least || 1)).toFixed(1);
  const rows = scores.map(({ value, low, high }, i) => {
    if (![value, low, high].every(Number.isFinite)) return undefined;
    const y = 9 + 16 * i;
    return html`<g class="subject-${i % 6}"><line x1="${x(low)}" x2="${x(high)}" y1="${y}" y2="${y}"/><circle cx="${x(value)}" cy="${y}" r="4"/></g>`;
  });
  return html`<svg class="intervals" viewBox="0 0 160 ${2 + 16 * scores.length}" width="160" height="${2 + 16 * scores.length}" aria-hidden="true">${rows}</svg>`;
}
