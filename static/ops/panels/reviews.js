// Orders that wait for a person's decision. They are asked for when their number changes.

import { eachChild, el, setText, show } from "../../dom.js";
import { locale } from "../../messages.js";
import { formatMoney } from "../../money.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { text } from "../words.js";
import { button, panel } from "./parts.js";

const words = text.reviews;

export function reviewsPanel({ can, ask, look, now }) {
  const none = el("p", { class: "soft", text: words.none });
  const list = el("ul", { class: "rows", role: "list", "data-testid": "review-list" });
  const node = panel("reviews", words.title, none, list);
  const steers = can("steer");
  let known = null;

  async function read(counted) {
    try {
      const { orders } = await api.reviews();
      eachChild(list, orders, (order) => order.id, make, () => {});
      show(none, orders.length === 0);
    } catch {
      if (known === counted) known = null;
    }
  }

  function make(order) {
    const decisions = steers ? Object.keys(words.decide).filter((decision) => decision !== "refund" || can("refund")) : [];
    return el("li", { class: "row", "data-testid": `review-${order.id}` },
      el("div", {},
        el("p", {}, el("strong", { text: order.review ?? "" }), ` ${formatMoney(order.amount, order.currency, locale)}`),
        el("p", { class: "soft small breaks figure", text: [order.id, order.sale, words.since(moment(order.updated_at, now()))].join(" · ") })),
      el("div", { class: "buttons" },
        button(text.order.find, `look-${order.id}`, () => look(order.id)),
        ...decisions.map((decision) => button(words.decide[decision], `${decision}-${order.id}`, () =>
          ask({
            about: { ...text.confirm.review[decision], lead: `${order.id}. ${text.confirm.review[decision].lead}` },
            danger: decision === "cancel" || decision === "refund",
            run: ({ reason }) => api.decide(order.id, decision, reason),
          }).then((done) => done && read(known))))));
  }

  return {
    node,
    update({ reviews }) {
      setText(none, reviews === null ? words.unknown : words.none);
      if (reviews === known) return;
      known = reviews;
      if (reviews === 0) {
        list.replaceChildren();
        show(none, true);
      } else if (reviews !== null) read(reviews);
    },
  };
}
