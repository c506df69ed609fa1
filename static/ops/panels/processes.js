// Every process of the shop: does it live, what does it do, and what can be asked of a worker.

import { eachChild, el, setText, show } from "../../dom.js";
import * as api from "../api.js";
import { between, bytes, count, figure, span } from "../format.js";
import { text } from "../words.js";
import { badge, button, panel } from "./parts.js";

const words = text.processes;
/** Milliseconds without a heartbeat after which a process counts as silent; one comes every two seconds. */
const silentAfter = 5_000;

export function processesPanel({ can, ask }) {
  const steers = can("steer");
  const none = el("p", { class: "soft", text: words.none });
  const enough = el("p", { class: "soft", "data-testid": "recommended" });
  const list = el("ul", { class: "rows", role: "list" });
  const node = panel("processes", words.title, none, list, enough);
  return {
    node,
    update(overview) {
      const processes = overview.processes ?? [];
      setText(none, overview.processes ? words.none : words.unknown);
      show(none, processes.length === 0);
      eachChild(list, processes, (process) => process.name, make, (item, process) => update(item, process, overview.at));
      const recommended = overview.recommended_workers;
      setText(enough, recommended ? [words.recommended(recommended.workers), recommended.why].filter(Boolean).join(": ") : "");
    },
  };

  function make(process) {
    const parts = { state: badge(), what: el("p", { class: "soft small breaks" }), load: el("p", { class: "small figure" }), times: el("p", { class: "soft small figure" }) };
    const works = process.kind !== "web";
    const buttons = steers && works && el("div", { class: "buttons" },
      button(words.concurrency, `concurrency-${process.name}`, () => setConcurrency(process), { "aria-label": words.concurrency_of(process.name) }),
      process.kind === "worker" && button(words.drain, `drain-${process.name}`, () => drain(process), { "aria-label": words.drain_of(process.name) }));
    const node = el("li", { class: "row", "data-testid": `process-${process.name}` },
      el("div", {}, el("p", { class: "process-head" }, el("strong", { class: "breaks", text: process.name }), parts.state.node), parts.what, parts.load, parts.times),
      buttons || null);
    return Object.assign(node, { parts });
  }

  function setConcurrency(process) {
    ask({
      about: text.confirm.concurrency(process.name),
      number: { label: text.confirm.at_once, min: 1, max: 10_000, optional: true },
      run: ({ number, reason }) => api.setConcurrency(process.name, number, reason),
    });
  }

  function drain(process) {
    ask({ about: text.confirm.drain(process.name), danger: true, run: ({ reason }) => api.drain(process.name, reason) });
  }
}

function update({ parts }, process, at) {
  const age = between(process.beat_at, at);
  const silent = age > silentAfter;
  parts.state.set(silent ? "silent" : process.state, silent ? words.silent : (words.states[process.state] ?? ["?", process.state]));
  setText(parts.what, [words.kinds[process.kind] ?? process.kind, words.version(process.version), words.where(process.host, process.pid), words.heard(span(age))].join(" · "));
  const flat = loadOf(process);
  setText(parts.load, flat.numbers.join(" · "));
  setText(parts.times, flat.times.join(" · "));
}

/** What a process says of its load, whatever that is: numbers it has words for, and times as `50 / 99 of 100`. */
function loadOf({ load }) {
  const [numbers, times] = [[], []];
  for (const [name, value] of entries(load ?? {})) {
    if (value && typeof value === "object" && "p50_ms" in value) {
      times.push(`${text.stripe.steps[name] ?? name} ${figure(value.p50_ms)} / ${figure(value.p99_ms)} ms`);
    } else if (typeof value === "number" && words.load[name]) {
      numbers.push(`${name.endsWith("_bytes") ? bytes(value) : count(value)} ${words.load[name]}`);
    }
  }
  return { numbers, times };
}

/** Both halves of a process that is web and worker at once. */
function entries(load) {
  return Object.entries(load).flatMap(([name, value]) => (["web", "worker"].includes(name) && value ? Object.entries(value) : [[name, value]]));
}
