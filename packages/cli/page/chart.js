import { logTicks, nearest, short, ticks } from "./scales.js";

const margin = { top: 10, right: 14, bottom: 40, left: 58 };

function element(parent, name, attributes = {}, text) {
  const made = document.createElementNS(parent.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

/**
 * A chart of lines over one x axis, which it shares with others through `view`: { range, cursor, point(x), zoom(low, high), reset() }.
 * `read()` gives { series: [{ label, style, xs, ys, dots }], lines: [{ y, label }], marks: [{ x, label }], log, xLabel, showX, xTicks }.
 */
export class Chart {
  constructor(figure, view, read) {
    Object.assign(this, { view, read, name: figure.querySelector("figcaption").textContent });
    this.plot = figure.querySelector(".plot");
    this.svg = this.plot.querySelector("svg");
    this.tip = this.plot.querySelector(".tip");
    this.height = Number(figure.dataset.height);
    new ResizeObserver(() => this.draw()).observe(this.plot);
    this.listen();
  }

  /** Left and right end of what is shown. */
  extent() {
    const all = this.content.series.flatMap(({ xs }) => (xs.length > 0 ? [xs[0], xs[xs.length - 1]] : []));
    const [low, high] = all.length > 0 ? [Math.min(...all), Math.max(...all)] : [0, 1];
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  }

  draw() {
    this.content = this.read();
    const { svg, height } = this;
    const width = this.plot.clientWidth;
    if (width === 0) return;
    this.inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    this.x = this.view.range ?? this.extent();
    this.y = this.yRange();
    const clip = `clip-${this.name.replace(/\W+/g, "-")}`;
    // a little wider than the axes, so that points at the ends are whole
    const frame = { x: margin.left - 5, y: 0, width: this.inner.width + 10, height: height - margin.bottom + 5 };
    element(element(svg, "clipPath", { id: clip }), "rect", frame);
    this.axes();
    const area = element(svg, "g", { "clip-path": `url(#${clip})` });
    for (const { x, label } of this.content.marks ?? []) {
      const at = this.toX(x);
      const [anchor, shift] = at > width / 2 ? ["end", -5] : ["start", 5];
      element(area, "line", { class: "mark", x1: at, x2: at, y1: margin.top, y2: height - margin.bottom });
      element(area, "text", { class: "mark", x: at + shift, y: margin.top + 10, "text-anchor": anchor }, label);
    }
    for (const { y, label } of this.content.lines ?? []) {
      const at = this.toY(y);
      element(area, "line", { class: "limit", x1: margin.left, x2: width - margin.right, y1: at, y2: at });
      element(area, "text", { class: "limit", x: width - margin.right - 4, y: at - 5, "text-anchor": "end" }, label);
    }
    for (const series of this.content.series) this.line(area, series);
    this.over = element(svg, "g", { "pointer-events": "none" });
    this.point();
  }

  yRange() {
    const { series, log, lines = [] } = this.content;
    let [low, high] = [Infinity, -Infinity];
    const take = (y) => {
      if (!Number.isFinite(y) || (log && y <= 0)) return;
      low = Math.min(low, y);
      high = Math.max(high, y);
    };
    for (const { xs, ys } of series)
      for (let i = 0; i < xs.length; i++) if (xs[i] >= this.x[0] && xs[i] <= this.x[1]) take(ys[i]);
    // a limit is worth seeing where the values come near it
    for (const { y } of lines) if (y < high * 1.5) take(y);
    if (low > high) return log ? [0.1, 10] : [0, 1];
    if (log) {
      const room = Math.max(1.05, (high / low) ** 0.04);
      return [low / room, high * room];
    }
    const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 0.5;
    // values far from zero are not drawn down to it, those near it are
    return [low >= 0 && low - room < 0.15 * high ? 0 : low - room, high + room];
  }

  toX(x) {
    return margin.left + (this.inner.width * (x - this.x[0])) / (this.x[1] - this.x[0]);
  }

  fromX(pixels) {
    const share = Math.min(1, Math.max(0, (pixels - margin.left) / this.inner.width));
    return this.x[0] + share * (this.x[1] - this.x[0]);
  }

  toY(y) {
    const at = this.content.log ? Math.log : (value) => value;
    const share = (at(y) - at(this.y[0])) / (at(this.y[1]) - at(this.y[0]));
    return margin.top + this.inner.height * (1 - share);
  }

  axes() {
    const { svg, height, inner } = this;
    const { log, xLabel, showX, xTicks } = this.content;
    const right = margin.left + inner.width;
    const bottom = height - margin.bottom;
    for (const tick of log ? logTicks(...this.y) : ticks(...this.y, Math.max(3, inner.height / 45))) {
      const at = this.toY(tick);
      element(svg, "line", { class: "grid", x1: margin.left, x2: right, y1: at, y2: at });
      element(
        svg,
        "text",
        { class: "tick", x: margin.left - 8, y: at, dy: "0.32em", "text-anchor": "end" },
        short(tick),
      );
    }
    for (const tick of xTicks(...this.x, Math.max(3, inner.width / 75))) {
      const at = this.toX(tick);
      element(svg, "line", { class: "grid", x1: at, x2: at, y1: bottom, y2: bottom + 4 });
      element(svg, "text", { class: "tick", x: at, y: bottom + 17, "text-anchor": "middle" }, showX(tick, true));
    }
    element(svg, "line", { class: "axis", x1: margin.left, x2: right, y1: bottom, y2: bottom });
    element(svg, "text", { class: "tick name", x: right, y: height - 5, "text-anchor": "end" }, xLabel);
  }

  line(area, { xs, ys, style, dots }) {
    const { log } = this.content;
    const group = element(area, "g", { class: style });
    let path = "";
    let pen = false;
    for (let i = 0; i < xs.length; i++) {
      if (xs[i + 1] < this.x[0] || xs[i - 1] > this.x[1]) continue;
      const shown = Number.isFinite(ys[i]) && (!log || ys[i] > 0);
      if (shown) path += `${pen ? "L" : "M"}${this.toX(xs[i]).toFixed(1)} ${this.toY(ys[i]).toFixed(1)}`;
      else if (!Number.isFinite(ys[i])) this.gap(area, xs[i]);
      pen = shown;
      const alone = shown && !Number.isFinite(ys[i - 1]) && !Number.isFinite(ys[i + 1]);
      if (shown && (dots || alone)) element(group, "circle", { cx: this.toX(xs[i]), cy: this.toY(ys[i]), r: 3 });
    }
    element(group, "path", { d: path });
  }

  /** A triangle on the axis where a value was not finite. */
  gap(area, x) {
    const [at, bottom] = [this.toX(x), margin.top + this.inner.height];
    element(area, "path", { class: "gap", d: `M${at} ${bottom - 9}l5 9h-10z` });
  }

  /** Cross-hair, dots and values where the cursor is. */
  point() {
    this.over?.replaceChildren();
    const { cursor, range } = this.view;
    const { series, showX } = this.content;
    const xs = series.find(({ xs }) => xs.length > 0)?.xs;
    const hidden = cursor === undefined || xs === undefined || (range && (cursor < range[0] || cursor > range[1]));
    this.tip.hidden = hidden === true;
    if (hidden) return;
    const dense = series.reduce((most, one) => (one.xs.length > most.length ? one.xs : most), xs);
    const x = dense[nearest(dense, cursor)];
    const at = this.toX(x);
    element(this.over, "line", { class: "cursor", x1: at, x2: at, y1: margin.top, y2: margin.top + this.inner.height });
    const reach = (this.x[1] - this.x[0]) * 0.04;
    const rows = series.flatMap(({ xs, ys, label, style }) => {
      const i = xs.length > 0 ? nearest(xs, x) : -1;
      if (i < 0 || (xs[i] !== x && Math.abs(xs[i] - x) > reach)) return [];
      if (Number.isFinite(ys[i]) && !(this.content.log && ys[i] <= 0))
        element(element(this.over, "g", { class: style }), "circle", {
          cx: this.toX(xs[i]),
          cy: this.toY(ys[i]),
          r: 4,
        });
      return [{ style, label: xs[i] === x ? label : `${label}, ${showX(xs[i])}`, value: short(ys[i]) }];
    });
    const title = document.createElement("strong");
    title.textContent = showX(x);
    this.tip.replaceChildren(title, ...rows.map(tipRow));
    const width = this.tip.offsetWidth;
    const left = at + 14 + width > this.plot.clientWidth ? at - width - 14 : at + 14;
    this.tip.style.transform = `translate(${Math.max(0, left)}px, ${margin.top + 4}px)`;
  }

  /** Mouse, finger and keys. A finger that moves sideways selects, up and down it scrolls the page. */
  listen() {
    const { plot, view } = this;
    let from;
    let tapped = { time: -Infinity, x: 0 };
    const at = (event) => event.clientX - plot.getBoundingClientRect().left;
    const select = (pixels) => {
      const [left, right] = [Math.min(from, pixels), Math.max(from, pixels)].map((end) => this.toX(this.fromX(end)));
      const area = { class: "selection", x: left, width: right - left, y: margin.top, height: this.inner.height };
      element(this.over, "rect", area);
    };
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = at(event);
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointermove", (event) => {
      view.point(this.fromX(at(event)));
      if (from !== undefined && Math.abs(at(event) - from) > 5) select(at(event));
    });
    plot.addEventListener("pointerup", (event) => {
      if (from === undefined) return;
      const [start, end] = [from, at(event)];
      from = undefined;
      if (Math.abs(end - start) > 5)
        return view.zoom(this.fromX(Math.min(start, end)), this.fromX(Math.max(start, end)));
      const again = event.timeStamp - tapped.time < 400 && Math.abs(end - tapped.x) < 24;
      tapped = { time: again ? -Infinity : event.timeStamp, x: end };
      if (again) view.reset();
      else view.point(this.fromX(end));
    });
    plot.addEventListener("pointercancel", () => {
      from = undefined;
      view.point(undefined);
    });
    plot.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && from === undefined) view.point(undefined);
    });
    plot.addEventListener("blur", () => view.point(undefined));
    plot.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.key(event)) return;
      event.preventDefault();
    });
  }

  key({ key, shiftKey }) {
    const {
      view,
      x: [low, high],
    } = this;
    const xs = this.content.series.reduce((most, one) => (one.xs.length > most.length ? one.xs : most), []);
    const cursor = view.cursor ?? (low + high) / 2;
    const go = (i) => view.point(Math.min(high, Math.max(low, xs[Math.min(xs.length - 1, Math.max(0, i))])));
    const scale = (factor) => {
      const [least, most] = this.extent();
      const half = ((high - low) / 2) * factor;
      if (2 * half >= most - least) return view.reset();
      const middle = Math.min(most - half, Math.max(least + half, cursor));
      view.zoom(middle - half, middle + half);
    };
    const by = shiftKey ? 10 : 1;
    const actions = {
      ArrowLeft: () => go(nearest(xs, cursor) - by),
      ArrowRight: () => go(nearest(xs, cursor) + by),
      Home: () => go(nearest(xs, low)),
      End: () => go(nearest(xs, high)),
      "+": () => scale(0.5),
      "=": () => scale(0.5),
      "-": () => scale(2),
      Escape: () => view.reset(),
      0: () => view.reset(),
    };
    if (actions[key] === undefined || xs.length === 0) return false;
    actions[key]();
    return true;
  }
}

function tipRow({ style, label, value }) {
  const row = document.createElement("span");
  row.className = style;
  const number = document.createElement("b");
  number.textContent = value;
  row.append(document.createElement("i"), `${label} `, number);
  return row;
}
