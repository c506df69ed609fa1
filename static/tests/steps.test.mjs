import assert from "node:assert/strict";
import { test } from "node:test";
import { canRetry, linesOf, overall, statusOf, stepOf, tierStanding } from "../steps.js";
import { after, declined, hold, now, order, sale, welcome } from "./world.mjs";

const onSale = { type: "sale", sale: sale() };
const ask = (state, more = {}) =>
  stepOf({ state, slug: "demo", draft: null, dismissed: new Set(), retrying: null, now, ...more });
const held = { phase: "held", hold: "h1", items: [], amount: 5000, currency: "usd", deadline: now + 1000, order: null };
const sent = { phase: "sent", order: "o1", hold: "h1", sentAt: now - 10 };

test("with nothing bought and nothing held the buyer chooses", () => {
  assert.equal(ask(after(onSale, welcome())).name, "choose");
});

test("a hold of the draft leads to payment, but only once the room has spoken", () => {
  assert.equal(ask(after(onSale), { draft: held }).name, "loading");
  assert.equal(ask(after(onSale, welcome()), { draft: held }).name, "pay");
});

test("a hold that this browser forgot is found again", () => {
  const step = ask(after(onSale, welcome({ holds: [hold()] })));
  assert.equal(step.name, "pay");
  assert.equal(step.hold.amount, 5000);
});

test("a hold that was left behind, has run out or has an order is not offered", () => {
  const state = after(onSale, welcome({ holds: [hold()] }));
  assert.equal(ask(state, { dismissed: new Set(["h1"]) }).name, "choose");
  assert.equal(ask(state, { now: now + 700_000 }).name, "choose");
  const paid = after(onSale, welcome({ holds: [hold()], orders: [order({ state: "paid" })] }));
  assert.equal(ask(paid).name, "choose");
});

test("an order on its way or paid is never a payable form", () => {
  for (const state of ["accepted", "charging", "requires_action", "closing", "review", "paid", "refunded"]) {
    const known = after(onSale, welcome({ orders: [order({ state })], holds: [hold()] }));
    assert.equal(ask(known, { draft: sent }).name, "order", state);
    assert.equal(ask(known, { draft: { ...held, order: "o1" } }).name, "order", state);
    assert.equal(ask(known, { draft: sent, retrying: { order: "o1", version: 1 } }).name, "order", state);
  }
});

test("an order on its way is shown although this browser forgot it", () => {
  const state = after(onSale, welcome({ orders: [order({ state: "charging" })] }));
  assert.equal(ask(state).order.id, "o1");
  assert.equal(ask(state, { dismissed: new Set(["o1"]) }).name, "choose");
});

test("a sent order is awaited until a welcome that was asked for later denies it", () => {
  assert.equal(ask(after(onSale), { draft: sent }).name, "sending");
  assert.equal(ask(after(onSale, welcome({ asked_at: now - 20 })), { draft: sent }).name, "sending");
  assert.equal(ask(after(onSale, welcome()), { draft: sent }).name, "missing");
});

test("an unanswered submission keeps being sent", () => {
  const paying = { ...held, phase: "paying", order: "o1", version: 0 };
  assert.equal(ask(after(onSale, welcome()), { draft: paying }).name, "sending");
});

test("a second attempt counts as being sent until the order has moved", () => {
  const paying = { ...held, phase: "paying", order: "o1", version: 3 };
  assert.equal(ask(after(onSale, welcome({ orders: [declined()] })), { draft: paying }).name, "sending");
  const moved = after(onSale, welcome({ orders: [order({ version: 4 })] }));
  assert.equal(ask(moved, { draft: paying }).name, "order");
});

test("another try is a form for this decline only, and while time is left", () => {
  const state = after(onSale, welcome({ orders: [declined()] }));
  const retrying = { order: "o1", version: 3 };
  assert.equal(ask(state, { draft: sent }).name, "order");
  assert.equal(ask(state, { draft: sent, retrying }).name, "pay");
  assert.equal(ask(state, { draft: sent, retrying: { order: "o1", version: 2 } }).name, "order");
  assert.equal(ask(state, { draft: sent, retrying, now: now + 121_000 }).name, "order");
});

test("a decline says itself whether another try is possible", () => {
  const of = (more) => after({ type: "order", order: declined(more) }).orders.o1;
  assert.equal(canRetry(of({}), now), true);
  assert.equal(canRetry(of({ decline: { code: "x", retry_in_ms: null } }), now), false);
  assert.equal(canRetry(of({ expires_in_ms: null }), now), true);
});

test("a scheduled sale opens by its own countdown, and a closing time closes it", () => {
  const of = (more) => after({ type: "sale", sale: sale(more) }).sales.demo;
  assert.equal(statusOf(of({ status: "scheduled", opens_in_ms: 100 }), now), "scheduled");
  assert.equal(statusOf(of({ status: "scheduled", opens_in_ms: 100 }), now + 100), "open");
  assert.equal(statusOf(of({ status: "scheduled" }), now), "scheduled");
  assert.equal(statusOf(of({ closes_in_ms: 100 }), now + 100), "closed");
});

test("a tier stands as its stock, its own opening, the sale and the buyer's limit say", () => {
  const standing = (state, index = 0, at = now) =>
    tierStanding({ sale: state.sales.demo, tier: state.sales.demo.tiers[index], orders: state.orders, now: at });
  const open = after(onSale, welcome());
  assert.deepEqual([standing(open).kind, standing(open).most], ["available", 4]);
  assert.equal(standing(open, 1).kind, "sold_out");

  const some = after(onSale, welcome({ orders: [order({ state: "paid" })] }));
  assert.equal(standing(some).most, 2);
  const all = after(onSale, welcome({ orders: [order({ items: [{ tier: "ga", quantity: 4 }] })] }));
  assert.equal(standing(all).kind, "limit");
  const back = after(onSale, welcome({ orders: [order({ state: "refunded", items: [{ tier: "ga", quantity: 4 }] })] }));
  assert.equal(standing(back).kind, "limit", "it counts what was bought, refunded or not");

  const later = sale();
  later.tiers[0].opens_in_ms = 500;
  const waits = after({ type: "sale", sale: later });
  assert.deepEqual([standing(waits).kind, standing(waits).at], ["not_open", now + 500]);
  assert.equal(standing(waits, 0, now + 500).kind, "available");
  assert.equal(standing(after({ type: "sale", sale: sale({ status: "paused" }) })).kind, "paused");
  assert.equal(standing(after({ type: "sale", sale: sale({ status: "closed" }) })).kind, "closed");
});

test("what can be bought speaks for all tiers", () => {
  const kinds = (...list) => overall(list.map((kind) => ({ kind })));
  assert.equal(kinds("sold_out", "available"), "available");
  assert.equal(kinds("sold_out", "not_open"), "not_open");
  assert.equal(kinds("sold_out", "closed"), "sold_out");
});

test("lines have names and prices as far as the sale is known", () => {
  const items = [{ tier: "ga", quantity: 2 }, { tier: "gone", quantity: 1 }];
  assert.deepEqual(linesOf(sale(), items).map((line) => [line.name, line.amount]), [["General", 5000], ["gone", null]]);
});
