// Stripe's budget, what Stripe refuses and declines, and how long each step takes.

import { eachChild, el, setAttribute, setText, show } from "../../dom.js";
import { count, figure } from "../format.js";
import { text } from "../words.js";
import { panel, row, table } from "./parts.js";

const words = text.stripe;
const steps = Object.keys(words.steps);

export function stripePanel() {
  const used = el("p", { class: "figure big", "data-testid": "budget" });
  const filled = el("span", { class: "bar-sold" });
  const free = el("span", { class: "bar-free" });
  const bar = el("div", { class: "bar", "aria-hidden": "true" }, filled, free);
  const cut = el("p", { class: "warning" }, el("span", { "aria-hidden": "true", text: "▲ " }), words.cut);
  const underWay = el("p", { class: "soft small figure" });
  const throttled = counts(words.no_throttled);
  const declines = counts(words.no_declines);
  const times = table(words.times, ["", words.half, words.slow]);
  const node = panel("stripe", words.title,
    el("div", { class: "columns" },
      el("div", {}, el("h3", { text: words.budget }), used, bar, underWay, cut),
      el("div", {}, el("h3", { text: words.throttled }), throttled.node, el("h3", { text: words.declines }), declines.node),
      el("div", {}, el("h3", { text: words.times }), times.node)));
  return {
    node,
    update({ budget, declines: declined, latency }) {
      const { used_per_second: sent, allowed_per_second: allowed } = budget;
      setText(used, allowed === null ? words.unlimited(figure(sent)) : words.used(figure(sent), figure(allowed)));
      show(bar, allowed !== null);
      filled.style.flexGrow = String(Math.min(sent ?? 0, allowed ?? 0));
      free.style.flexGrow = String(Math.max(0, (allowed ?? 0) - (sent ?? 0)));
      setAttribute(bar, "data-full", allowed !== null && (sent ?? 0) >= 0.95 * allowed);
      setText(underWay, budget.concurrency === null ? "" : words.under_way(count(budget.concurrency)));
      show(cut, budget.is_cut);
      throttled.update(budget.throttled);
      declines.update(declined);
      eachChild(times.body, steps, (step) => step, (step) => row([words.steps[step], "", ""]), ({ cells_: [name, half, slow] }, step) => {
        setText(name, words.steps[step]);
        setText(half, figure(latency[step]?.p50_ms));
        setText(slow, figure(latency[step]?.p99_ms));
      });
    },
  };
}

/** How often each of some words was counted, the most frequent first. */
function counts(nothing) {
  const none = el("p", { class: "soft", text: nothing });
  const list = el("dl", { class: "counts" });
  return {
    node: el("div", {}, none, list),
    update(counted) {
      const entries = Object.entries(counted ?? {}).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a);
      show(none, entries.length === 0);
      eachChild(list, entries, ([name]) => name, ([name]) => el("div", {}, el("dt", { text: name }), el("dd", { class: "figure" })),
        (node, [, n]) => setText(node.lastChild, count(n)));
    },
  };
}
