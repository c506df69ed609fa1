// The first step: what is for sale, live, and how many of each. Tells `choose` with the items.

import "./quantity-field.js";
import { formatClock, formatCountdown } from "../clock.js";
import { eachChild, el, setAttribute, setText, show } from "../dom.js";
import { locale, text } from "../messages.js";
import { formatMoney } from "../money.js";
import { overall, tierStanding } from "../steps.js";

/** Heading and lead for how the tiers stand together. */
const words = {
  available: text.choose,
  limit: text.choose,
  paused: text.choose.stopped,
  not_open: text.choose.scheduled,
  sold_out: text.choose.sold_out_now,
  closed: text.choose.over,
};

/** Above this many free units the number says nothing to a shopper. */
const plenty = 500;

class SaleChoose extends HTMLElement {
  #heading;
  #lead;
  #opening;
  #closes;
  #own;
  #list;
  #problem;
  #standings = new Map();
  #wrong = new Map();
  #wanted = null;

  connectedCallback() {
    if (this.#list) return;
    this.#heading = el("h2", { tabindex: -1, text: text.choose.title });
    this.#lead = el("p", { class: "lead" });
    this.#opening = openingLine();
    this.#closes = el("p", { class: "soft" });
    this.#own = el("p", { class: "own" }, el("span"), " ", el("a", { href: "/tickets", text: text.choose.see }));
    this.#list = el("ul", { class: "tiers", role: "list" });
    this.#problem = el("p", { class: "problem", id: "choose-problem" });
    const form = el("form", { id: "choose", novalidate: true, onsubmit: (event) => this.#submit(event) },
      this.#heading,
      this.#lead,
      this.#opening,
      this.#own,
      this.#list,
      this.#problem,
      this.#closes,
    );
    form.addEventListener("quantity", () => this.#changed());
    this.append(form);
  }

  get heading() {
    return this.#heading;
  }

  /** The chosen items, none of them zero. */
  get items() {
    const rows = [...this.#list.children];
    return rows
      .map((row) => ({ tier: row.dataset.key, quantity: row.quantity.value }))
      .filter((item) => item.quantity > 0);
  }

  /** Shows these quantities and no others. */
  set items(items) {
    this.#wanted = new Map(items.map((item) => [item.tier, item.quantity]));
    this.#fillIn();
  }

  /** The rows may not exist yet when the page opened at a later step. */
  #fillIn() {
    if (this.#wanted === null || this.#list.children.length === 0) return;
    for (const row of this.#list.children) {
      row.quantity.value = this.#wanted.get(row.dataset.key) ?? 0;
    }
    this.#wanted = null;
  }

  /** How the tiers stand together, as `overall` says it. */
  get kind() {
    return overall([...this.#standings.values()]);
  }

  /** Whether at least one tier could be bought now. */
  get buyable() {
    return this.kind === "available";
  }

  update({ sale, state, now }) {
    const { orders } = state;
    for (const tier of sale.tiers) {
      this.#standings.set(tier.id, tierStanding({ sale, tier, orders, now }));
    }
    eachChild(this.#list, sale.tiers, (tier) => tier.id, makeRow, (row, tier) => {
      const standing = this.#standings.get(tier.id);
      updateRow(row, tier, { standing, now, wrong: this.#wrong.get(tier.id), first: this.#first(now) });
    });
    this.#fillIn();
    this.#tellStanding(now);
    const closes = sale.status === "open" && sale.closesAt !== null;
    show(this.#closes, closes);
    if (closes) setText(this.#closes, text.choose.closes(formatClock(sale.closesAt, locale, now)));
    const mine = paidUnits(orders, sale.slug);
    show(this.#own, mine > 0);
    setText(this.#own.firstChild, text.choose.have(mine));
  }

  /** When the first tier opens, if waiting for that is all there is to do; else null. */
  #first(now) {
    const times = [...this.#standings.values()].map(({ at }) => (at > now ? at : Infinity));
    const first = Math.min(...times);
    return this.kind === "not_open" && Number.isFinite(first) ? first : null;
  }

  /** Heading, lead, and the big countdown when all that is left to do is wait. */
  #tellStanding(now) {
    const { kind } = this;
    const first = this.#first(now);
    setText(this.#heading, words[kind].title);
    setText(this.#lead, words[kind].lead);
    show(this.#opening, first !== null);
    if (first === null) return;
    setText(this.#opening.countdown, formatCountdown(first - now));
    setText(this.#opening.clock, formatClock(first, locale, now));
  }

  #changed() {
    this.#wrong.clear();
    setText(this.#problem, "");
    this.dispatchEvent(new CustomEvent("chosen", { bubbles: true }));
  }

  #submit(event) {
    event.preventDefault();
    const { items } = this;
    this.#wrong.clear();
    for (const { tier, quantity } of items) {
      const { kind, most } = this.#standings.get(tier);
      if (kind === "not_open") this.#wrong.set(tier, text.choose.early);
      else if (quantity > most) this.#wrong.set(tier, text.choose.only(most));
    }
    setText(this.#problem, items.length === 0 ? text.choose.none : "");
    this.dispatchEvent(new CustomEvent("chosen", { bubbles: true }));
    if (items.length === 0) this.#firstRow()?.quantity.focus();
    else if (this.#wrong.size > 0) this.#rowOf([...this.#wrong.keys()][0]).quantity.focus();
    else this.dispatchEvent(new CustomEvent("choose", { detail: items }));
  }

  #firstRow() {
    return [...this.#list.children].find((row) => !row.quantity.hidden);
  }

  #rowOf(id) {
    return [...this.#list.children].find((row) => row.dataset.key === id);
  }
}

function openingLine() {
  const countdown = el("strong", { class: "figure", role: "timer", "data-testid": "opens-in" });
  const clock = el("span", { class: "soft" });
  const label = el("span", { class: "soft", text: text.choose.opens_in });
  return Object.assign(el("p", { class: "opening" }, label, countdown, clock), { countdown, clock });
}

function paidUnits(orders, slug) {
  return Object.values(orders)
    .filter((order) => order.sale === slug && order.state === "paid")
    .flatMap((order) => order.items)
    .reduce((sum, item) => sum + item.quantity, 0);
}

function makeRow(tier) {
  const quantity = document.createElement("quantity-field").build(tier);
  const parts = {
    quantity,
    standing: el("span", { class: "standing", id: `standing-${tier.id}`, "data-testid": `free-${tier.id}` }),
    opens: el("span", { class: "opens" }),
    problem: el("p", { class: "problem", id: `problem-${tier.id}` }),
    price: el("span", { class: "price" }),
  };
  const row = el("li", { class: "tier" },
    el("div", { class: "what" },
      el("span", { class: "name", text: tier.name }),
      parts.price,
      parts.standing,
      parts.opens,
    ),
    quantity,
    parts.problem,
  );
  return Object.assign(row, parts);
}

function updateRow(row, tier, { standing, now, wrong, first }) {
  const { kind, free, most, at } = standing;
  setText(row.price, formatMoney(tier.amount, tier.currency, locale));
  const waits = kind === "not_open";
  setText(row.standing, standingText(kind, free));
  setAttribute(row.standing, "data-free", free);
  setAttribute(row, "data-kind", kind);
  setAttribute(row, "data-few", kind === "available" && free <= 10);
  // The big countdown above speaks for the tiers that open first.
  const opens = waits && Number.isFinite(at) && at !== first;
  show(row.opens, opens);
  if (opens) {
    const clock = formatClock(at, locale, now);
    setText(row.opens, `${text.choose.opens_in} ${formatCountdown(at - now)} · ${clock}`);
  }
  // A sold-out tier has no number to choose, unless one was typed: then it says what is wrong.
  show(row.quantity, kind === "available" || waits || row.quantity.value > 0);
  row.quantity.update(most);
  const short = row.quantity.value > most ? text.choose.only(most) : "";
  setText(row.problem, wrong ?? short);
  row.quantity.invalid = Boolean(wrong ?? short);
}

function standingText(kind, free) {
  if (kind === "available" || kind === "not_open") return free > plenty ? text.choose.plenty : text.choose.free(free);
  return text.choose[kind];
}

customElements.define("sale-choose", SaleChoose);
