import { Chart } from "./chart.js";
import { short, smooth, ticks, timeTicks } from "./scales.js";

const data = JSON.parse(document.getElementById("curve-data").textContent);
const byId = (id) => document.getElementById(id);

function theme() {
  const root = document.documentElement;
  const keep = (value) => {
    // a page from a file may not be allowed to keep anything
    try {
      if (value === undefined) return localStorage.getItem("theme");
      localStorage.setItem("theme", value);
    } catch {}
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const button = byId("theme");
  const tell = () => {
    button.textContent = now() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use ${now() === "dark" ? "light" : "dark"} colours`);
  };
  const kept = keep();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    keep(root.dataset.theme);
    tell();
  });
  dark.addEventListener("change", tell);
  tell();
}

const axes = {
  step: { label: "step", ticks, show: (x, axis) => (axis ? short(x) : `step ${Math.round(x)}`) },
  tokens: { label: "tokens seen", ticks, show: (x, axis) => (axis ? short(x) : `${short(x)} tokens`) },
  seconds: { label: "time", ticks: timeTicks, show: (x) => clock(x) },
};

/** 3725 seconds as "1:02:05". */
function clock(seconds) {
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  const tenths = seconds < 10 && seconds % 1 > 0.05 ? (seconds % 1).toFixed(1).slice(1) : "";
  const hours = Math.floor(seconds / 3600);
  return `${hours > 0 ? `${hours}:${two((seconds / 60) % 60)}` : Math.floor(seconds / 60)}:${two(seconds % 60)}${tenths}`;
}

/** null stands for what was not finite. */
const numbers = (list) => list.map((value) => value ?? Number.NaN);

function charts() {
  const figures = [...document.querySelectorAll("figure[data-column]")];
  if (figures.length === 0) return;
  const made = [];
  const controls = { axis: byId("axis"), smoothing: byId("smoothing"), log: byId("log"), reset: byId("reset") };
  const draw = () => {
    for (const chart of made) chart.draw();
    controls.reset.disabled = view.range === undefined;
  };
  const view = {
    range: undefined,
    cursor: undefined,
    point(x) {
      view.cursor = x;
      for (const chart of made) chart.point();
    },
    zoom(low, high) {
      if (high > low) view.range = [low, high];
      draw();
    },
    reset() {
      view.range = undefined;
      draw();
    },
  };
  const points = Object.fromEntries(Object.entries(data.points).map(([key, list]) => [key, numbers(list)]));
  const reduced = data.bucket > 1;
  const means = reduced
    ? Object.fromEntries(Object.entries(data.means).map(([key, list]) => [key, numbers(list)]))
    : points;
  const evals = Object.fromEntries(Object.entries(data.evaluations).map(([key, list]) => [key, numbers(list)]));

  const read = (column, smoothed) => () => {
    const axis = controls.axis.value;
    const weight = Number(controls.smoothing.value);
    const log = controls.log.checked && (column === "loss" || column === "gradNorm");
    const label = column === "loss" ? "training" : data.labels[column];
    const series = [{ label, style: "train", xs: points[axis], ys: points[column] }];
    if (smoothed && (weight > 0 || reduced)) {
      series[0].style = reduced ? "train raw dense" : "train raw";
      const ys = smooth(means[column], weight);
      series.push({ label: weight > 0 ? "smoothed" : "mean", style: "train", xs: means[axis], ys });
    }
    const marks = [];
    if (column === "loss" && evals.step.length > 0) {
      series.push({
        label: "validation",
        style: "held",
        xs: evals[axis],
        ys: evals.loss,
        dots: evals.step.length <= 60,
      });
      const best = evals.step.indexOf(data.best);
      if (best >= 0) marks.push({ x: evals[axis][best], label: "best" });
    }
    const lines =
      column === "gradNorm" && data.clipNorm > 0 ? [{ y: data.clipNorm, label: `clipped at ${data.clipNorm}` }] : [];
    return { series, lines, marks, log, xLabel: axes[axis].label, showX: axes[axis].show, xTicks: axes[axis].ticks };
  };
  for (const figure of figures)
    made.push(new Chart(figure, view, read(figure.dataset.column, figure.dataset.smoothed !== undefined)));

  const slide = () => {
    byId("smoothing-value").textContent = Number(controls.smoothing.value).toFixed(2);
    draw();
  };
  controls.smoothing.addEventListener("input", slide);
  controls.log.addEventListener("change", draw);
  controls.reset.addEventListener("click", view.reset);
  controls.axis.addEventListener("change", () => {
    // the same range means another on another axis
    view.cursor = undefined;
    view.reset();
  });
  byId("controls").hidden = false;
  slide();
}

function differences() {
  const box = byId("differences");
  if (box) box.addEventListener("change", () => document.body.classList.toggle("plain", !box.checked));
}

/** What is folded on the screen is open on paper. */
function printing() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
}

theme();
charts();
differences();
printing();
