// Small makers for the tests of the page's pure parts.

import { apply, nothing } from "../store.js";

export const now = 1_000_000;

export const sale = (more = {}) => ({
  slug: "demo",
  name: "Demo",
  status: "open",
  opens_in_ms: null,
  closes_in_ms: null,
  tiers: [
    { id: "ga", name: "General", amount: 2500, currency: "usd", free: 10, max_per_customer: 4, opens_in_ms: null, closes_in_ms: null },
    { id: "vip", name: "Very", amount: 9900, currency: "usd", free: 0, max_per_customer: null, opens_in_ms: null, closes_in_ms: null },
  ],
  ...more,
});

export const order = (more = {}) => ({
  id: "o1",
  state: "accepted",
  version: 1,
  sale: "demo",
  hold: "h1",
  items: [{ tier: "ga", quantity: 2 }],
  amount: 5000,
  currency: "usd",
  charge: null,
  decline: null,
  action: null,
  queue: null,
  tickets: [],
  created_at: "2026-01-01T00:00:00Z",
  expires_in_ms: null,
  ...more,
});

export const declined = (more = {}) =>
  order({
    state: "declined",
    version: 3,
    decline: { code: "card_declined", message: "no", retry_in_ms: 0 },
    expires_in_ms: 120_000,
    ...more,
  });

export const hold = (more = {}) => ({
  hold: "h1",
  sale: "demo",
  items: [{ tier: "ga", quantity: 2 }],
  amount: 5000,
  currency: "usd",
  expires_in_ms: 600_000,
  ...more,
});

export const welcome = (more = {}) => ({
  type: "welcome",
  customer: "c1",
  epochs: { demo: 7 },
  orders: [],
  holds: [],
  asked_at: now,
  ...more,
});

export const after = (...messages) => messages.reduce((state, message) => apply(state, message, now), nothing);
