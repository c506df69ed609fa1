// One ticket, drawn as one: what it admits to, a perforation, its code.

import { el, setText } from "../dom.js";
import { text } from "../messages.js";

/** A list item for `ticket`; its `rename` changes the names when they become known. */
export function ticketStub(ticket, { saleName, tierName }) {
  const sale = el("span", { class: "stub-sale", text: saleName });
  const tier = el("span", { class: "stub-tier", text: tierName });
  const node = el("li", { class: "stub" },
    el("div", { class: "stub-what" }, tier, sale),
    el("div", { class: "stub-code" },
      el("span", { class: "soft small", text: text.tickets.code }),
      el("code", { "data-testid": "ticket-code", text: ticket.code }),
    ),
  );
  const rename = (saleName, tierName) => {
    setText(sale, saleName);
    setText(tier, tierName);
  };
  return Object.assign(node, { rename });
}

/** The name of a ticket's tier, or its id when the sale is not known. */
export const tierName = (sale, id) => sale?.tiers.find((tier) => tier.id === id)?.name ?? id;
