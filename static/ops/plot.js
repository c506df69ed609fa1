// A plot over the last minutes. Lines differ in colour and in how they are dashed; what they say stands beside them in
// figures too, for the newest moment, or for the one under the pointer.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { el, setText } from "../dom.js";
import { locale } from "../messages.js";
import { figure } from "./format.js";

const height = 150;
const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dashes = [[], [7, 4], [2, 3]];
/** Plots show the same moment under the pointer. */
const together = uPlot.sync("ops");

const scheme = globalThis.matchMedia?.("(prefers-color-scheme: dark)");

/** A plot of some of a point's values. `series` are `{ key, label, fill }`; `format` writes a value. */
export function plot({ title, series, testid, format = figure }) {
  const values = series.map(() => el("span", { class: "figure" }));
  const legend = el("ul", { class: "legend", role: "list" },
    ...series.map(({ label }, at) => el("li", {}, mark(at), `${label} `, values[at])));
  const canvas = el("div", { class: "plot-canvas", "aria-hidden": "true" });
  const node = el("figure", { class: "plot", "data-testid": testid }, el("figcaption", { text: title }), legend, canvas);
  let chart = null;
  let data = [[], ...series.map(() => [])];
  let range = [0, 1];

  function tell() {
    const under = chart?.cursor.idx;
    const at = under === null || under === undefined ? data[0].length - 1 : under;
    series.forEach((_, line) => setText(values[line], format(data[line + 1][at])));
  }

  function build() {
    const width = Math.floor(canvas.clientWidth);
    if (width === 0) return;
    chart?.destroy();
    chart = new uPlot(options(series, width, () => range, tell), data, canvas);
    together.sub(chart);
  }

  new ResizeObserver(() => {
    if (chart) chart.setSize({ width: Math.floor(canvas.clientWidth), height });
    else build();
  }).observe(canvas);
  scheme?.addEventListener("change", build);

  return {
    node,
    /** Shows these points, of the last `window` milliseconds. */
    update(points, window) {
      const times = points.map((point) => point.at);
      data = [times, ...series.map(({ key }) => points.map((point) => point[key] ?? null))];
      const last = times.at(-1) ?? 0;
      range = [last - window, last];
      if (document.hidden) return;
      if (chart) chart.setData(data, true);
      else build();
      tell();
    },
  };
}

function options(series, width, range, tell) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height,
    ms: 1,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: "ops" }, points: { size: 6 } },
    scales: {
      x: { range: () => range() },
      // Never a line of nothing at full height.
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] },
    },
    axes: [
      { ...axis, size: 26, space: 72, font: "12px system-ui", values: (_, splits) => splits.map((at) => clock.format(at)) },
      { ...axis, size: 48, space: 34, font: "12px system-ui", values: (_, splits) => splits.map((value) => axisFigure(value)) },
    ],
    series: [
      {},
      ...series.map(({ label, fill }, at) => ({
        label,
        stroke: colour(`--series-${at + 1}`),
        width: 2,
        dash: dashes[at],
        fill: fill ? colour("--series-wash") : undefined,
        points: { show: false },
        spanGaps: true,
      })),
    ],
    hooks: { setCursor: [tell] },
  };
}

const compact = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
const axisFigure = (value) => compact.format(value);

/** A short line as the plot draws it. */
function mark(at) {
  return el("span", { class: `mark mark-${at + 1}`, "aria-hidden": "true" });
}
