// Several sales, each a link, with how it stands.

import { formatClock, formatCountdown } from "../clock.js";
import { eachChild, el, setAttribute, setText } from "../dom.js";
import { locale, text } from "../messages.js";
import { formatMoney } from "../money.js";
import { statusOf } from "../steps.js";

/** Brings the list up to date. */
export function updateSaleList(list, sales, now) {
  eachChild(list, sales, (sale) => sale.slug, makeRow, (row, sale) => updateRow(row, sale, now));
}

function makeRow(sale) {
  const parts = {
    name: el("span", { class: "sale-name", text: sale.name }),
    price: el("span", { class: "soft figure" }),
    state: el("span", { class: "badge" }),
    when: el("span", { class: "soft figure small" }),
  };
  const link = el("a", { href: `/sales/${encodeURIComponent(sale.slug)}`, "data-testid": `sale-${sale.slug}` },
    el("span", { class: "sale-what" }, parts.name, parts.price),
    el("span", { class: "sale-how" }, parts.state, parts.when),
  );
  return Object.assign(el("li", {}, link), parts);
}

function updateRow(row, sale, now) {
  const status = standing(sale, now);
  setText(row.state, text.sales.status[status]);
  setAttribute(row.state, "data-state", status);
  const cheapest = sale.tiers.reduce((low, tier) => (low && low.amount <= tier.amount ? low : tier), null);
  setText(row.price, cheapest ? text.sales.from(formatMoney(cheapest.amount, cheapest.currency, locale)) : "");
  setText(row.when, whenText(sale, status, now));
}

function standing(sale, now) {
  const status = statusOf(sale, now);
  const gone = sale.tiers.length > 0 && sale.tiers.every((tier) => tier.free <= 0);
  return status === "open" && gone ? "sold_out" : status;
}

function whenText(sale, status, now) {
  if (status !== "scheduled" || sale.opensAt === null) return "";
  const soon = sale.opensAt - now < 86_400_000;
  const clock = formatClock(sale.opensAt, locale, now);
  return soon
    ? `${text.choose.opens_in} ${formatCountdown(sale.opensAt - now)} · ${clock}`
    : text.sales.opens(clock);
}
