// What the page knows, as one value, and how a message changes it. Pure: no document, no
// network, no clock but the `now` it is given. Three rules make it safe to hear a message
// twice, late or out of order:
//   - of two accounts of an order, the higher `version` wins;
//   - stock of an older epoch is ignored;
//   - `welcome` is complete, so holds it does not name are gone.

import { deadlineIn } from "./clock.js";

/** Before anything was heard. */
export const nothing = Object.freeze({
  customer: null,
  welcomed: false,
  askedAt: 0,
  welcomeEpochs: {},
  epochs: {},
  orders: {},
  holds: {},
  sales: {},
});

/** The state after `message`; unknown kinds of message change nothing. */
export function apply(state, message, now) {
  switch (message?.type) {
    case "welcome":
      return welcome(state, message, now);
    case "order":
      return { ...state, orders: withOrder(state.orders, message.order, now) };
    case "queue":
      return { ...state, orders: withPlaces(state.orders, message.orders ?? [], now) };
    case "stock":
      return stock(state, message);
    case "sale":
      return withSale(state, message.sale, now);
    default:
      return state;
  }
}

function welcome(state, message, now) {
  const stranger = state.customer !== null && state.customer !== message.customer;
  let orders = stranger ? {} : state.orders;
  for (const order of message.orders ?? []) orders = withOrder(orders, order, now);
  const holds = {};
  for (const hold of message.holds ?? []) {
    holds[hold.hold] = { ...hold, deadline: deadlineIn(hold.expires_in_ms, now) };
  }
  const epochs = { ...state.epochs };
  for (const [sale, epoch] of Object.entries(message.epochs ?? {})) {
    epochs[sale] = Math.max(epoch, epochs[sale] ?? 0);
  }
  return {
    ...state,
    customer: message.customer,
    welcomed: true,
    // When the question was asked: what we did after that, the answer cannot know.
    askedAt: message.asked_at ?? now,
    welcomeEpochs: message.epochs ?? {},
    epochs,
    orders,
    holds,
  };
}

function withOrder(orders, order, now) {
  const known = orders[order.id];
  if (known && known.version > order.version) return orders;
  const next = {
    ...order,
    deadline: deadlineIn(order.expires_in_ms, now),
    retryAt: order.decline ? deadlineIn(order.decline.retry_in_ms, now) : null,
    place: order.queue ? placeOf(order.queue, now) : null,
  };
  // The same version again, without a place: the place we were told meanwhile still holds.
  if (known?.version === order.version && !next.place) next.place = known.place;
  return { ...orders, [order.id]: next };
}

const placeOf = (queue, now) => ({
  position: queue.position,
  at: deadlineIn(queue.eta_ms, now),
});

function withPlaces(orders, places, now) {
  const next = { ...orders };
  for (const place of places) {
    const known = next[place.id];
    if (known) next[place.id] = { ...known, place: placeOf(place, now) };
  }
  return next;
}

function stock(state, message) {
  const known = state.epochs[message.sale] ?? 0;
  if (message.epoch < known) return state;
  const epochs = { ...state.epochs, [message.sale]: message.epoch };
  const sale = state.sales[message.sale];
  if (!sale) return { ...state, epochs };
  const free = new Map((message.tiers ?? []).map((tier) => [tier.id, tier.free]));
  const tiers = sale.tiers.map((tier) =>
    free.has(tier.id) ? { ...tier, free: free.get(tier.id) } : tier,
  );
  const heard = { ...sale, tiers, status: message.status ?? sale.status };
  return { ...state, epochs, sales: { ...state.sales, [message.sale]: heard } };
}

function withSale(state, sale, now) {
  const timed = (thing) => ({
    ...thing,
    opensAt: deadlineIn(thing.opens_in_ms, now),
    closesAt: deadlineIn(thing.closes_in_ms, now),
  });
  const next = { ...timed(sale), tiers: (sale.tiers ?? []).map(timed) };
  return { ...state, sales: { ...state.sales, [sale.slug]: next } };
}

/** A store: the state, `send(message)` and `subscribe(listener)`. */
export function createStore(clock = Date.now) {
  let state = nothing;
  const listeners = new Set();
  return {
    get state() {
      return state;
    },
    send(message) {
      const next = apply(state, message, clock());
      if (next === state) return;
      state = next;
      for (const listener of [...listeners]) listener(state, message);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
