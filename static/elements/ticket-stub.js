// One ticket, drawn as one: what it admits to, a perforation, its code.

import { el, setText } from "../dom.js";
import { text } from "../messages.js";

/** A list item for `ticket`; its `rename` changes the names when they become known. */
export function ticketStub(ticket, { saleName, tierName }) {
  const sale = el("span", { class: "stub-sale", text: saleName });
  const tier = el("span", { class: "stub-tier", text: tierName });
  const valid = Boolean(ticket.code);
  const node = el("li", { class: "stub", "data-void": valid ? null : "true", "data-testid": valid ? "ticket" : "ticket-void" },
    el("div", { class: "stub-what" }, tier, sale),
    el("div", { class: "stub-code" },
      el("span", { class: "soft small", text: valid ? text.tickets.code : text.tickets.refunded }),
      ...(valid ? [el("code", { "data-testid": "ticket-code", text: ticket.code })] : []),
    ),
  );
  const rename = (saleName, tierName) => {
    setText(sale, saleName);
    setText(tier, tierName);
  };
  return Object.assign(node, { rename });
}

/** Valid tickets first, then those that were refunded, which come without a code. */
export const stubsOf = (order) => [...(order.tickets ?? []), ...(order.voided ?? [])];

/** A stub is made anew when its ticket loses its validity, or gets it back. */
export const stubKey = (ticket) => (ticket.code ? ticket.id : `${ticket.id}-void`);

/** The name of a ticket's tier, or its id when the sale is not known. */
export const tierName = (sale, id) => sale?.tiers.find((tier) => tier.id === id)?.name ?? id;
