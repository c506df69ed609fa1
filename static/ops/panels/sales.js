// Every current sale: how it stands, where its units are, whether they add up, and what can be done to it.

import { eachChild, el, setAttribute, setText, show } from "../../dom.js";
import { locale } from "../../messages.js";
import { formatMoney } from "../../money.js";
import * as api from "../api.js";
import { between, count, moment, span } from "../format.js";
import { text } from "../words.js";
import { badge, button, panel } from "./parts.js";

const words = text.sales;
const shelves = ["sold", "held", "free"];

/** What may be done to a sale in this state. */
export const controls = {
  scheduled: ["open", "close"],
  open: ["pause", "close"],
  sold_out: ["pause", "close"],
  paused: ["resume", "close"],
  closed: ["open"],
};

export function salesPanel({ can, ask }) {
  const none = el("p", { class: "soft" });
  const list = el("div", { class: "sales-list" });
  const steers = can("steer");
  const node = panel("sales", words.title, none, list);
  return {
    node,
    update(overview) {
      const sales = overview.sales ?? [];
      show(none, sales.length === 0);
      setText(none, overview.sales ? words.none : words.unknown);
      eachChild(list, sales, (sale) => sale.sale, (sale) => make(sale, steers, ask), (card, sale) => update(card, sale, overview.at));
    },
  };
}

function make(sale, steers, ask) {
  const parts = {
    name: el("h3", {}),
    state: badge(),
    when: el("span", { class: "soft small" }),
    tiers: el("ul", { class: "tiers", role: "list" }),
    waiting: el("span", { class: "soft small figure" }),
    check: el("p", { class: "check", "data-testid": `check-${sale.sale}` }),
    buttons: el("div", { class: "buttons" }),
    steers,
    ask,
  };
  parts.state.node.dataset.testid = `status-${sale.sale}`;
  const node = el("article", { class: "sale-card", "data-testid": `sale-${sale.sale}` },
    el("header", { class: "sale-head" }, parts.name, parts.state.node, parts.when, parts.buttons),
    parts.tiers,
    el("footer", { class: "sale-foot" }, parts.check, parts.waiting),
  );
  return Object.assign(node, { parts });
}

function update(card, sale, at) {
  const { parts } = card;
  card.sale = sale;
  setText(parts.name, sale.name);
  parts.state.set(sale.status, words.status[sale.status] ?? ["?", sale.status]);
  setText(parts.when, whenOf(sale));
  setText(parts.waiting, sale.waiting ? words.waiting(count(sale.waiting)) : words.nobody_waits);
  tellCheck(parts.check, sale.conservation, at);
  const wanted = parts.steers ? (controls[sale.status] ?? []) : [];
  const focused = parts.buttons.contains(document.activeElement);
  eachChild(parts.buttons, wanted, (what) => what, (what) => controlButton(card, what), () => {});
  // Who has paused a sale by keyboard stands at "Resume", and not at the top of the page.
  if (focused && !parts.buttons.contains(document.activeElement)) parts.buttons.querySelector("button")?.focus();
  eachChild(parts.tiers, sale.tiers, (tier) => tier.id, (tier) => makeTier(card, tier), updateTier);
}

function whenOf(sale) {
  if (sale.status === "scheduled") return words.opens(moment(sale.opens_at));
  return sale.closes_at && sale.status !== "closed" ? words.closes(moment(sale.closes_at)) : "";
}

function tellCheck(node, conservation, at) {
  setAttribute(node, "data-holds", conservation.holds);
  const age = conservation.agreed_at ? between(conservation.agreed_at, at) : null;
  // They are compared every few seconds.
  const agreed = age === null ? words.not_compared : age < 7_000 ? words.agreed_now : words.agreed(span(age));
  setText(node, conservation.holds ? `✓ ${words.holds}; ${agreed}` : `✗ ${words.broken}: ${conservation.wrong.join("; ")}`);
}

function controlButton(card, what) {
  const { ask } = card.parts;
  return button(words[what], `${what}-${card.sale.sale}`, () => {
    const { sale, name } = card.sale;
    ask({ about: text.confirm[what](name), danger: what === "close", run: ({ reason }) => api.steer(sale, what, reason) });
  });
}

function makeTier(card, tier) {
  const figures = Object.fromEntries(shelves.map((shelf) => [shelf, el("dd", { class: "figure", "data-testid": `${shelf}-${card.sale.sale}-${tier.id}` })]));
  const segments = Object.fromEntries(shelves.map((shelf) => [shelf, el("span", { class: `bar-${shelf}` })]));
  const parts = { name: el("span", { class: "tier-name" }), price: el("span", { class: "soft figure" }), of: el("span", { class: "soft figure" }), figures, segments };
  const node = el("li", { class: "tier" },
    el("div", { class: "tier-what" }, parts.name, parts.price, parts.of),
    el("div", { class: "bar", "aria-hidden": "true" }, ...shelves.map((shelf) => segments[shelf])),
    el("dl", { class: "shelves" }, ...shelves.map((shelf) => el("div", {}, el("dt", {}, el("span", { class: `key bar-${shelf}`, "aria-hidden": "true" }), words[shelf]), figures[shelf]))),
    card.parts.steers && button(words.add, `add-${card.sale.sale}-${tier.id}`, () => addStock(card, tier), { "aria-label": words.add_to(tier.name) }),
  );
  return Object.assign(node, { parts });
}

function addStock(card, tier) {
  const { sale, name } = card.sale;
  // The same wish again, after an answer that was lost, adds nothing more.
  const request = crypto.randomUUID();
  card.parts.ask({
    about: text.confirm.stock(name, tier.name),
    number: { label: text.confirm.quantity, min: 1, max: 10_000_000 },
    run: ({ number, reason }) => api.addStock(sale, tier.id, number, request, reason),
  });
}

function updateTier({ parts }, tier) {
  setText(parts.name, tier.name);
  setText(parts.price, formatMoney(tier.amount, tier.currency, locale));
  setText(parts.of, words.of(count(tier.capacity)));
  for (const shelf of shelves) {
    setText(parts.figures[shelf], count(tier[shelf]));
    const share = String(tier[shelf] ?? 0);
    if (parts.segments[shelf].style.flexGrow !== share) parts.segments[shelf].style.flexGrow = share;
  }
}
