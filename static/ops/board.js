// The page of somebody who is logged in: panels that are told each overview, and what is asked before anything is done.

import { el, setAttribute, setText } from "../dom.js";
import { confirm } from "./confirm.js";
import { flowPanel } from "./panels/flow.js";
import { jobsPanel } from "./panels/jobs.js";
import { orderPanel } from "./panels/order.js";
import { processesPanel } from "./panels/processes.js";
import { reviewsPanel } from "./panels/reviews.js";
import { salesPanel } from "./panels/sales.js";
import { stripePanel } from "./panels/stripe.js";
import { trailPanel } from "./panels/trail.js";

/** Milliseconds after which a figure that should come every second is old. */
const freshFor = 4_000;

/** Builds the page. `say(sentence)` is the status line. */
export function board({ operator, say }) {
  const can = (permission) => operator.permissions.includes(permission);
  let at = Date.now();
  const ctx = {
    can,
    /** The server's time: clocks of browsers may be wrong by hours. */
    now: () => at,
    look: (id) => panels.order?.look(id),
    async ask(asked) {
      const done = await confirm(asked);
      if (done) {
        say(asked.about.done);
        panels.trail.read();
      }
      return done;
    },
  };
  const panels = {
    sales: salesPanel(ctx),
    flow: flowPanel(ctx),
    stripe: stripePanel(ctx),
    jobs: jobsPanel(ctx),
    processes: processesPanel(ctx),
    ...(can("see_orders") && { reviews: reviewsPanel(ctx), order: orderPanel(ctx) }),
    trail: trailPanel(ctx),
  };
  const node = el("div", { class: "board" }, ...Object.values(panels).map((panel) => panel.node));
  panels.trail.read();
  return {
    node,
    begin: (history) => panels.flow.begin(history),
    update(overview) {
      at = Date.parse(overview.at);
      for (const panel of Object.values(panels)) panel.update(overview);
    },
  };
}

/** Says whether the figures are of now. It speaks once for each change, and counts in silence. */
export function pulse({ node, board: shown, say, words }) {
  let heard = null;
  let lost = null;
  let said = "";
  const once = (sentence) => {
    if (said === sentence) return;
    said = sentence;
    say(sentence);
  };
  function tell(now = Date.now()) {
    const old = heard === null ? 0 : now - heard;
    const state = lost ? "lost" : heard === null ? "connecting" : old > freshFor ? "stale" : "live";
    setAttribute(node, "data-state", state);
    setAttribute(shown(), "data-old", state === "lost" || state === "stale");
    const seconds = Math.max(0, Math.ceil(((lost?.retryAt ?? 0) - now) / 1000));
    if (state === "lost") setText(node, seconds > 0 ? words.lost(seconds) : words.trying);
    else if (state === "stale") setText(node, words.stale(Math.round(old / 1000)));
    else setText(node, words[state]);
  }
  return {
    tell,
    heard() {
      if (lost) once(words.back_said);
      [heard, lost] = [Date.now(), null];
      tell();
    },
    lost(how) {
      lost = how;
      if (how.attempt > 1 || heard !== null) once(words.lost_said);
      tell();
    },
  };
}
