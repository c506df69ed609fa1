// The last step: what became of the order. One set of parts for all states, so that the
// heading which has the focus stays the same element from "sending" to "paid".
// Tells `again`, `restart`, `confirm` and `instead`.

import { stubKey, stubsOf, ticketStub, tierName } from "./ticket-stub.js";
import { formatClock, formatCountdown, left } from "../clock.js";
import { eachChild, el, setAttribute, setText, show } from "../dom.js";
import { locale, reasonOf, roughly, text } from "../messages.js";
import { canRetry, pending, wordOf } from "../steps.js";

/** States in which something is on its way and the spinner turns. */
const turning = new Set(["sending", "leaving", "accepted", "charging", "closing"]);

/** What this tab does with the bank's question while the buyer waits: then there is nothing to press. */
const withBank = new Set(["checking", "giving_up", "looking", "ending"]);

/** What the mark beside the heading shows. */
function markOf(state) {
  if (turning.has(state) || withBank.has(state)) return "turning";
  if (state === "paid") return "good";
  if (["declined", "expired", "canceled", "returned", "missing"].includes(state)) return "bad";
  return "wait";
}

/** The name under which browser tests find a state. */
function hookOf(state) {
  return turning.has(state) && state !== "closing" ? "pending" : state;
}

class SaleOrder extends HTMLElement {
  #parts;

  connectedCallback() {
    if (this.#parts) return;
    const tell = (name) => () => this.dispatchEvent(new CustomEvent(name));
    const button = (className, testid, label, event) =>
      el("button", { type: "button", class: className, "data-testid": testid, text: label, onclick: tell(event) });
    const fact = (term, testid) => {
      const value = el("dd", { "data-testid": testid, class: "figure" });
      return { node: el("div", {}, el("dt", { text: term }), value), value };
    };
    const p = {
      mark: el("span", { class: "mark", "aria-hidden": "true" }),
      heading: el("h2", { tabindex: -1 }),
      lead: el("p", { class: "lead" }),
      reason: el("p", { class: "reason", "data-testid": "reason" }),
      position: fact(text.order.position, "position"),
      eta: fact(text.order.eta, "eta"),
      keep: el("p", { class: "soft", text: text.order.keep }),
      limit: el("p", { class: "soft", "data-testid": "time-left" }),
      tickets: el("ul", { class: "stubs", role: "list" }),
      again: button("primary", "try-again", text.order.declined.again, "again"),
      confirm: button("primary", "confirm", text.order.requires_action.go, "confirm"),
      instead: button("secondary", "instead", text.order.requires_action.instead, "instead"),
      restart: button("secondary", "restart", text.order.restart, "restart"),
      see: el("a", { class: "button secondary", href: "/tickets", text: text.order.see }),
      number: fact(text.order.number, "order-id"),
      charge: fact(text.order.charge, "charge-id"),
    };
    p.queue = el("dl", { class: "queue" }, p.position.node, p.eta.node);
    p.record = el("dl", { class: "record" }, p.number.node, p.charge.node);
    p.section = el("section", { class: "outcome" },
      el("div", { class: "outcome-head" }, p.mark, el("div", {}, p.heading, p.lead)),
      p.reason, p.queue, p.keep, p.tickets, p.limit,
      el("div", { class: "actions" }, p.again, p.confirm, p.instead, p.restart, p.see),
      p.record,
    );
    this.#parts = p;
    this.append(p.section);
  }

  get heading() {
    return this.#parts.heading;
  }

  /**
   * `state` is the order's, or `sending` or `missing`; `order` may be absent then. `bank` is how far
   * this tab is with the bank's question, as `phaseOf` says.
   */
  update({ state, order, id, sale, email, bank, leaving, now }) {
    const p = this.#parts;
    const said = order ? wordOf({ ...order, state }) : state;
    const shown = leaving ? "leaving" : withBank.has(bank) ? bank : said;
    const words = text.order[shown] ?? text.order.review;
    setAttribute(p.section, "data-testid", hookOf(state));
    setAttribute(p.section, "data-state", state);
    setAttribute(p.section, "data-bank", bank);
    setAttribute(p.mark, "data-mark", markOf(shown));
    setText(p.heading, words.title);
    setText(p.lead, typeof words.lead === "function" ? words.lead(email) : words.lead);
    this.#record(order, id);
    this.#queue(state, order, now);
    this.#decline(state, order, now);
    this.#authentication(shown, order, bank, now);
    this.#tickets(state, order, sale);
    show(p.keep, pending.has(state));
    show(p.see, ["paid", "partially_refunded", "refunded", "disputed"].includes(state));
    const over = state === "declined" && !canRetry(order, now);
    show(p.restart, over || !["declined", "sending", "accepted", "charging", "closing", "requires_action"].includes(state));
    setText(p.restart, state === "paid" || state === "review" ? text.order.more : text.order.restart);
    this.#keepFocus();
  }

  /** A button that goes away while it has the focus hands it to the heading. */
  #keepFocus() {
    const active = document.activeElement;
    if (this.contains(active) && active.closest("[hidden]")) this.#parts.heading.focus();
  }

  #record(order, id) {
    const p = this.#parts;
    const number = order?.id ?? id ?? "";
    show(p.record, number !== "");
    setText(p.number.value, number);
    show(p.charge.node, Boolean(order?.charge));
    setText(p.charge.value, order?.charge ?? "");
  }

  #queue(state, order, now) {
    const p = this.#parts;
    const place = pending.has(state) ? order?.place : null;
    show(p.queue, Boolean(place));
    if (!place) return;
    setText(p.position.value, place.position <= 1 ? text.order.next : place.position.toLocaleString(locale));
    setText(p.eta.value, etaText(place, now));
  }

  #decline(state, order, now) {
    const p = this.#parts;
    const declined = state === "declined";
    show(p.reason, declined && Boolean(order.decline));
    if (declined && order.decline) setText(p.reason, reasonOf(order.decline));
    const again = declined && canRetry(order, now);
    const wait = again && order.retryAt > now;
    show(p.again, again);
    p.again.disabled = wait;
    show(p.limit, declined);
    if (declined) setText(p.limit, limitText(order, again, wait, now));
  }

  #authentication(shown, order, bank, now) {
    const p = this.#parts;
    const asked = shown === "requires_action" || shown === "hosted";
    const open = asked && (order.deadline === null || order.deadline > now);
    show(p.confirm, open && Boolean(order.action));
    show(p.instead, open);
    if (!asked) return;
    const words = text.order[shown];
    setText(p.confirm, words.go);
    setText(p.instead, words.instead);
    const hitch = open ? text.alert.bank[bank] : null;
    show(p.reason, Boolean(hitch));
    setText(p.reason, hitch ?? "");
    show(p.limit, true);
    setText(p.limit, open ? keptText(order, words, now) : words.over);
  }

  #tickets(state, order, sale) {
    const p = this.#parts;
    const shown = ["paid", "partially_refunded", "refunded"].includes(state) ? stubsOf(order) : [];
    show(p.tickets, shown.length > 0);
    eachChild(p.tickets, shown, stubKey, (ticket) =>
      ticketStub(ticket, { saleName: sale?.name ?? "", tierName: tierName(sale, ticket.tier) }), () => {});
  }
}

/** Time left in words; when the estimate has run out, no false precision. */
function etaText(place, now) {
  if (place.at === null) return text.order.eta_unknown;
  const ms = left(place.at, now);
  return ms > 1000 ? roughly(ms) : text.order.soon;
}

function keptText(order, words, now) {
  if (order.deadline === null) return "";
  const span = formatCountdown(left(order.deadline, now));
  return `${words.kept} ${span} ${text.pay.until(formatClock(order.deadline, locale, now))}`;
}

function limitText(order, again, wait, now) {
  if (!again) return text.order.declined.over;
  if (wait) return `${text.order.declined.wait} ${formatCountdown(order.retryAt - now)}`;
  if (order.deadline === null) return "";
  const span = formatCountdown(left(order.deadline, now));
  return `${text.pay.still} ${span} ${text.pay.until(formatClock(order.deadline, locale, now))}`;
}

customElements.define("sale-order", SaleOrder);
