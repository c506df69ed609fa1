// An order by its number, and everything that happened to it.

import { Refusal } from "../../api.js";
import { el, setText } from "../../dom.js";
import { locale } from "../../messages.js";
import { formatMoney } from "../../money.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { text } from "../words.js";
import { panel } from "./parts.js";

const words = text.order;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function orderPanel({ now }) {
  const input = el("input", { id: "order-id", type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", "data-testid": "order-id" });
  const error = el("p", { class: "alert", role: "alert", "data-testid": "order-alert" });
  const found = el("div", { "data-testid": "order-found" });
  const form = el("form", { class: "look-up", novalidate: true },
    el("div", { class: "field" }, el("label", { for: "order-id", text: words.id }), input),
    el("button", { class: "secondary", type: "submit", text: words.find, "data-testid": "find-order" }));
  const node = panel("order", words.title, form, error, found);

  async function find() {
    const id = input.value.trim();
    setText(error, "");
    found.replaceChildren();
    if (!uuid.test(id)) return setText(error, words.bad_id);
    try {
      found.replaceChildren(...story(await api.order(id), now()));
    } catch (cause) {
      const gone = cause instanceof Refusal && cause.status === 404;
      setText(error, gone ? words.not_found : words.failed);
    }
  }

  form.onsubmit = (event) => {
    event.preventDefault();
    find();
  };
  return {
    node,
    update() {},
    /** Shows this order. */
    look(id) {
      input.value = id;
      node.scrollIntoView({ block: "start" });
      input.focus({ preventScroll: true });
      find();
    },
  };
}

function story({ order, timeline = [], attempts = [], refunds = [] }, now) {
  const money = (amount) => formatMoney(amount, order.currency, locale);
  const facts = [
    [words.state, order.state],
    [words.sale, order.sale],
    [words.amount, money(order.amount)],
    [words.charge, order.charge],
    [words.buyer, [order.name, order.email].filter(Boolean).join(", ")],
    [words.customer, order.customer],
    [words.review, order.review],
  ].filter(([, value]) => value);
  const lines = timeline.map(({ at, by, what, why, attempt, note }) => el("li", {},
    el("span", { class: "figure soft", text: moment(at, now) }),
    el("span", { class: "breaks" }, el("strong", { text: what }), [attempt ? ` ${attempt}` : "", by ? ` ${words.by(by)}` : "", why ?? note ? `: ${why ?? note}` : ""].join(""))));
  return [
    el("dl", { class: "facts" }, ...facts.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { class: "figure breaks", text: value })))),
    el("h3", { text: words.timeline }),
    el("ol", { class: "timeline", role: "list" }, ...lines),
    ...list(words.attempts, attempts, (one) => [one.number, one.state, one.payment_intent, one.note].filter(Boolean).join(" · ")),
    ...list(words.refunds, refunds, (one) => [money(one.amount), one.state, one.reason, one.note].filter(Boolean).join(" · ")),
  ];
}

function list(title, items, line) {
  if (items.length === 0) return [];
  return [el("h3", { text: title }), el("ul", { class: "rows", role: "list" }, ...items.map((item) => el("li", { class: "small figure breaks", text: line(item) })))];
}
