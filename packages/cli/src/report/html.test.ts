import { expect, it } from "vitest";
import { html, scriptJson } from "./html.ts";

const hostile = `</script><img src=x onerror='a("b")'>&amp;\u0000`;

it("escapes what stands in holes, but not markup that it made", () => {
  const inner = html`<b title="${hostile}">${hostile}</b>`;
  const escaped = "&lt;/script&gt;&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;amp;\uFFFD";
  expect(html`<p>${inner}${[1, "<", undefined, false]}</p>`.markup).toBe(
    `<p><b title="${escaped}">${escaped}</b>1&lt;</p>`,
  );
});

it("JSON in a script means the same and cannot end it", () => {
  const value = { text: `${hostile}<!--<script>`, list: [1, null] };
  const { markup } = scriptJson(value);
  expect(markup).not.toContain("<");
  expect(JSON.parse(markup)).toEqual(value);
});
