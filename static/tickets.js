// "My tickets": all orders of this browser's customer, live, the newest first.

import * as api from "./api.js";
import { fillTexts, introduce } from "./chrome.js";
import { formatDate } from "./clock.js";
import { eachChild, el, setAttribute, setText, show } from "./dom.js";
import { stubKey, stubsOf, ticketStub, tierName } from "./elements/ticket-stub.js";
import { locale, text } from "./messages.js";
import { formatMoney } from "./money.js";
import { patiently } from "./retry.js";
import { Room } from "./room.js";
import { newestFirst } from "./steps.js";
import { createStore } from "./store.js";

const stage = document.getElementById("stage");
const status = document.querySelector('[role="status"]');
const store = createStore();
const list = el("ul", { class: "orders", role: "list" });
const none = el("p", { class: "plain", hidden: true }, text.tickets.none, " ", el("a", { href: "/", text: text.sales.all }));
const wanted = new Set();

async function start() {
  fillTexts();
  introduce(text.tickets.title, text.tickets.lead);
  stage.replaceChildren(none, list);
  await patiently(() => api.session());
  store.subscribe(render);
  new Room({
    onMessage: (message) => store.send(message),
    onState: (state) => setText(status, state === "lost" ? text.status.lost : ""),
  }).start();
}

function render() {
  const orders = Object.values(store.state.orders).sort(newestFirst);
  for (const { sale } of orders) nameSale(sale);
  show(none, store.state.welcomed && orders.length === 0);
  eachChild(list, orders, (order) => order.id, makeOrder, updateOrder);
}

/** Names of sales and tiers, asked for once each; without them the ids are shown. */
async function nameSale(slug) {
  if (wanted.has(slug)) return;
  wanted.add(slug);
  const sale = await patiently(() => api.sale(slug), { attempts: 5 }).catch(() => null);
  if (sale) store.send({ type: "sale", sale });
}

function makeOrder(order) {
  const parts = {
    name: el("h2", {}),
    state: el("span", { class: "badge" }),
    facts: el("p", { class: "soft figure small" }),
    tickets: el("ul", { class: "stubs", role: "list" }),
    number: el("dd", { class: "figure", "data-testid": "order-id" }),
    charge: el("dd", { class: "figure", "data-testid": "charge-id" }),
    open: el("a", { class: "button secondary", href: `/sales/${encodeURIComponent(order.sale)}#${order.id}`, text: text.tickets.open }),
  };
  parts.chargeRow = el("div", {}, el("dt", { text: text.order.charge }), parts.charge);
  const node = el("li", { class: "order", "data-testid": `order-${order.id}` },
    el("div", { class: "order-head" }, parts.name, parts.state),
    parts.facts,
    parts.tickets,
    el("dl", { class: "record" },
      el("div", {}, el("dt", { text: text.order.number }), parts.number),
      parts.chargeRow,
    ),
    parts.open,
  );
  return Object.assign(node, { parts });
}

function updateOrder({ parts }, order) {
  const sale = store.state.sales[order.sale];
  setText(parts.name, sale?.name ?? order.sale);
  setText(parts.state, text.tickets.state[order.state] ?? order.state);
  setAttribute(parts.state, "data-state", order.state);
  const items = order.items.map(
    (item) => `${text.summary.quantity(item.quantity)} ${tierName(sale, item.tier)}`,
  );
  const bought = order.created_at ? [text.tickets.bought(formatDate(order.created_at, locale))] : [];
  setText(parts.facts, [...items, formatMoney(order.amount, order.currency, locale), ...bought].join(" · "));
  setText(parts.number, order.id);
  show(parts.chargeRow, Boolean(order.charge));
  setText(parts.charge, order.charge ?? "");
  const stubs = ["paid", "partially_refunded", "refunded"].includes(order.state) ? stubsOf(order) : [];
  show(parts.tickets, stubs.length > 0);
  eachChild(parts.tickets, stubs, stubKey, (ticket) =>
    ticketStub(ticket, { saleName: sale?.name ?? order.sale, tierName: tierName(sale, ticket.tier) }),
  (stub, ticket) => stub.rename(sale?.name ?? order.sale, tierName(sale, ticket.tier)));
  // While something can still happen, the sale's own page is the place to act.
  show(parts.open, ["requires_action", "declined", "accepted", "charging"].includes(order.state));
}

start();
