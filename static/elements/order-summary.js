// What is being bought, line by line, and the total: `<order-summary>`.

import { eachChild, el, setText, show } from "../dom.js";
import { locale, text } from "../messages.js";
import { formatMoney } from "../money.js";
import { linesOf } from "../steps.js";

class OrderSummary extends HTMLElement {
  #list;
  #empty;
  #total;
  #amount;
  #note;

  connectedCallback() {
    if (this.#list) return;
    this.#list = el("ul", { class: "lines", role: "list" });
    this.#empty = el("p", { class: "soft", text: text.summary.empty });
    this.#amount = el("span", { class: "amount", "data-testid": "total" });
    this.#total = el("p", { class: "total" }, el("span", { text: text.summary.total }), this.#amount);
    this.#note = el("p", { class: "soft small", text: text.summary.note });
    this.append(
      el("h2", { id: "summary-title", text: text.summary.title }),
      this.#empty,
      this.#list,
      this.#total,
      this.#note,
    );
  }

  /** `amount` is the server's, frozen in a hold or an order; without it the lines are added up. */
  update({ sale, items, amount, currency }) {
    const lines = linesOf(sale, items);
    const sum = amount ?? lines.reduce((total, line) => total + (line.amount ?? 0), 0);
    const unit = currency ?? lines[0]?.currency ?? sale?.tiers[0]?.currency;
    eachChild(this.#list, lines, (line) => line.id, makeLine, (row, line) => {
      setText(row.quantity, text.summary.quantity(line.quantity));
      setText(row.name, line.name);
      setText(row.amount, line.amount === null ? "" : formatMoney(line.amount, line.currency, locale));
    });
    show(this.#empty, lines.length === 0);
    show(this.#list, lines.length > 0);
    if (unit) setText(this.#amount, formatMoney(sum, unit, locale));
  }
}

function makeLine() {
  const parts = {
    quantity: el("span", { class: "times" }),
    name: el("span", { class: "name" }),
    amount: el("span", { class: "amount" }),
  };
  return Object.assign(el("li", {}, parts.quantity, parts.name, parts.amount), parts);
}

customElements.define("order-summary", OrderSummary);
