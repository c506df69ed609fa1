// What the page shows, decided by one pure function from what is known: nothing here
// remembers, so a reload, a second tab and the back button all come to the same answer.
// The rule that matters most: while an order is on its way, or paid, no payable form for it.

/** Charging, or about to: the outcome is on its way. */
export const pending = new Set(["accepted", "charging"]);

/** States after which an order no longer counts for its buyer; a limit is about what was bought, refunded or not. */
const ended = new Set(["expired", "canceled"]);

/** Whether the buyer may try this order again, now or later. */
export function canRetry(order, now) {
  if (order.state !== "declined" || order.retryAt === null) return false;
  return order.deadline === null || order.deadline > now;
}

/** Whether something still happens, or can happen, with this order. */
export function isOpen(order, now) {
  if (pending.has(order.state)) return true;
  if (["requires_action", "closing", "review"].includes(order.state)) return true;
  return canRetry(order, now);
}

/**
 * One of
 * `{name: "loading"}`, `{name: "choose"}`, `{name: "pay", hold, retry?: order}` (nothing can be paid
 * while `hold.renews`),
 * `{name: "sending"}`, `{name: "order", order}`, `{name: "missing", id}`.
 *
 * `draft` is the purchase that this browser remembers, `dismissed` the ids of orders and holds
 * the buyer has left behind, `retrying` the `{order, version}` for which they asked for another try.
 */
export function stepOf({ state, slug, draft, dismissed, retrying, now }) {
  if (!state.sales[slug]) return { name: "loading" };
  const mine = draft?.order ? state.orders[draft.order] : null;
  if (mine) return stepOfOrder(mine, draft, retrying, now);
  if (draft?.phase === "paying") return { name: "sending" };
  if (draft?.phase === "sent") {
    // Asked after our 202, the welcome must name the order.
    const denied = state.welcomed && state.askedAt > draft.sentAt;
    return denied ? { name: "missing", id: draft.order } : { name: "sending" };
  }
  const other = newestOpen(state, slug, dismissed, now);
  if (other) return stepOfOrder(other, null, retrying, now);
  if (draft && !state.welcomed) return { name: "loading" };
  const hold = heldBy(draft) ?? adoptable(state, slug, dismissed, now);
  return hold ? { name: "pay", hold } : { name: "choose" };
}

function stepOfOrder(order, draft, retrying, now) {
  // Another attempt was sent and nothing newer was heard of the order yet.
  const unheard = draft?.phase === "paying" && order.version <= draft.version;
  if (unheard) return { name: "sending", order };
  const again = retrying?.order === order.id && retrying.version === order.version;
  if (again && canRetry(order, now)) {
    return { name: "pay", hold: holdOfOrder(order), retry: order };
  }
  return { name: "order", order };
}

const holdOfOrder = ({ hold, items, amount, currency, deadline, sale }) => ({
  hold,
  sale,
  items,
  amount,
  currency,
  deadline,
});

function newestOpen(state, slug, dismissed, now) {
  const open = Object.values(state.orders).filter(
    (order) => order.sale === slug && !dismissed.has(order.id) && isOpen(order, now),
  );
  return open.sort(newestFirst)[0] ?? null;
}

/** For sorting orders: the newest first; ids made in order break ties. */
export function newestFirst(a, b) {
  const [x, y] = [Date.parse(a.created_at ?? 0), Date.parse(b.created_at ?? 0)];
  return y - x || (a.id < b.id ? 1 : -1);
}

/** The draft's hold, also while a new one takes its place. */
const heldBy = (draft) => (draft?.phase === "held" || draft?.renews ? draft : null);

/** A hold that the server knows and this browser forgot; one with an order is not for sale. */
function adoptable(state, slug, dismissed, now) {
  const taken = new Set(Object.values(state.orders).flatMap((order) => [order.hold, order.id]));
  const free = Object.values(state.holds).filter(
    (hold) =>
      hold.sale === slug && hold.deadline > now && !taken.has(hold.hold) && !dismissed.has(hold.hold),
  );
  return free.sort((a, b) => b.deadline - a.deadline)[0] ?? null;
}

/** How a sale stands at `now`, by its own clock when the server has not spoken since. */
export function statusOf(sale, now) {
  const opened = sale.opensAt !== null && sale.opensAt <= now;
  if (sale.status === "scheduled" && opened) return "open";
  if (sale.status === "open" && sale.closesAt !== null && sale.closesAt <= now) return "closed";
  return sale.status;
}

/** How many units of a tier this customer has already. */
function owned(orders, slug, tier, now) {
  let units = 0;
  for (const order of Object.values(orders)) {
    const dead = ended.has(order.state) || (order.state === "declined" && !canRetry(order, now));
    if (order.sale !== slug || dead) continue;
    for (const item of order.items) if (item.tier === tier) units += item.quantity;
  }
  return units;
}

/**
 * What can be done with a tier: `{kind, at, free, most}`, `kind` being
 * `available sold_out not_open closed paused limit`, `most` the highest quantity to offer (before
 * the opening too, so that the choice is made when it comes).
 */
export function tierStanding({ sale, tier, orders, now }) {
  const status = statusOf(sale, now);
  const opensAt = Math.max(
    tier.opensAt ?? 0,
    status === "scheduled" ? (sale.opensAt ?? Infinity) : 0,
  );
  const allowed =
    tier.max_per_customer == null
      ? Infinity
      : Math.max(0, tier.max_per_customer - owned(orders, sale.slug, tier.id, now));
  const standing = (kind, most = 0) => ({ kind, at: opensAt, free: tier.free, most });
  if (status === "closed" || (tier.closesAt !== null && tier.closesAt <= now)) return standing("closed");
  if (tier.free <= 0 || status === "sold_out") return standing("sold_out");
  if (status === "paused") return standing("paused");
  if (allowed === 0) return standing("limit");
  const most = Math.min(allowed, tier.free, 99);
  return standing(opensAt > now ? "not_open" : "available", most);
}

/** The kind that speaks for all tiers: what can be bought, else what may come, else why not. */
export function overall(standings) {
  const kinds = new Set(standings.map((standing) => standing.kind));
  const order = ["available", "limit", "paused", "not_open", "sold_out", "closed"];
  return order.find((kind) => kinds.has(kind)) ?? "closed";
}

/** The lines of a cart or an order with names and prices, as far as the sale is known. */
export function linesOf(sale, items) {
  return items.map(({ tier: id, quantity }) => {
    const tier = sale?.tiers.find((candidate) => candidate.id === id);
    const amount = tier ? tier.amount * quantity : null;
    return { id, name: tier?.name ?? id, quantity, amount, currency: tier?.currency ?? null };
  });
}

/** One question of the bank: the same order may be asked again, with another card. */
export const questionOf = ({ id, version }) => `${id}.${version}`;

/** What to say of an order: its state, or `returned` when money came after its end and went back, or `hosted` when it waits for its buyer on Stripe's page. */
export function wordOf(order) {
  if (order.state === "requires_action" && order.action?.url) return "hosted";
  const late = ["expired", "canceled"].includes(order.state) && Boolean(order.charge);
  return late ? "returned" : order.state;
}
