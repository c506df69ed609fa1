// What comes in and goes out now, and how it was over the last minutes.

import { el } from "../../dom.js";
import { count, figure, span } from "../format.js";
import { plot } from "../plot.js";
import { text } from "../words.js";
import { panel, tile } from "./parts.js";

const words = text.flow;
const minutes = [1, 5, 15];
/** Milliseconds that are kept. */
const kept = 15 * 60_000;

export function flowPanel() {
  const tiles = {
    accepted: tile("now-accepted", words.accepted, words.a_second),
    settled: tile("now-settled", words.settled, words.a_second),
    paid: tile("now-paid", words.paid, words.a_second),
    declined: tile("now-declined", words.declined, words.a_second),
    waiting: tile("now-waiting", words.waiting, words.orders),
    ends: tile("now-ends", words.ends),
    soldOut: tile("now-sold-out", words.sold_out),
    sockets: tile("now-sockets", words.sockets),
  };
  const plots = [
    plot({ title: text.plots.orders, testid: "plot-orders", series: [
      { key: "accepted", label: text.plots.accepted }, { key: "paid", label: text.plots.paid }, { key: "declined", label: text.plots.declined }] }),
    plot({ title: text.plots.waiting, testid: "plot-waiting", format: count, series: [{ key: "waiting", label: text.plots.queue, fill: true }] }),
    plot({ title: text.plots.stripe, testid: "plot-stripe", series: [
      { key: "used", label: text.plots.used }, { key: "allowed", label: text.plots.allowed }] }),
    plot({ title: text.plots.times, testid: "plot-times", series: [
      { key: "accept_ms", label: text.plots.accept }, { key: "wait_ms", label: text.plots.wait }, { key: "stripe_ms", label: text.plots.charge }] }),
  ];
  let points = [];
  let window = 5 * 60_000;
  const draw = () => {
    const last = points.at(-1)?.at ?? 0;
    const shown = points.filter((point) => point.at >= last - window);
    for (const each of plots) each.update(shown, window);
  };
  const choice = el("fieldset", { class: "choice" }, el("legend", { class: "unseen", text: words.window }),
    ...minutes.map((n) => el("label", {},
      el("input", { type: "radio", name: "window", value: n, checked: n === 5, onchange: () => { window = n * 60_000; draw(); } }),
      el("span", { text: words.minutes(n) }))));
  const node = panel("flow", words.title,
    el("dl", { class: "tiles" }, ...Object.values(tiles).map((each) => each.node)),
    choice,
    el("div", { class: "plots" }, ...plots.map((each) => each.node)));
  // Nobody drew while the page was hidden.
  document.addEventListener("visibilitychange", draw);
  return {
    node,
    /** What was before this page came. */
    begin(history) {
      points = history;
      draw();
    },
    update(overview) {
      const { rates, forecast } = overview;
      for (const name of ["accepted", "settled", "paid", "declined"]) tiles[name].set(figure(rates[`${name}_per_second`]));
      tiles.waiting.set(count(forecast.waiting));
      const pace = forecast.at_per_second === null ? "" : words.if_wanted(figure(forecast.at_per_second));
      tiles.ends.set(span(forecast.ends_in_ms), pace);
      tiles.soldOut.set(span(forecast.all_sold_in_ms), pace);
      tiles.sockets.set(count(overview.sockets), overview.rooms === null ? "" : words.rooms(count(overview.rooms)));
      points.push(pointOf(overview));
      const from = points.at(-1).at - kept;
      while (points[0].at < from) points.shift();
      draw();
    },
  };
}

/** The same as the server keeps. */
function pointOf({ at, rates, forecast, budget, latency, sockets }) {
  return {
    at: Date.parse(at),
    accepted: rates.accepted_per_second,
    settled: rates.settled_per_second,
    paid: rates.paid_per_second,
    declined: rates.declined_per_second,
    waiting: forecast.waiting,
    used: budget.used_per_second,
    allowed: budget.allowed_per_second,
    accept_ms: latency.accept?.p99_ms ?? null,
    wait_ms: latency.queue_wait?.p99_ms ?? null,
    stripe_ms: latency.stripe?.p99_ms ?? null,
    sockets,
  };
}
