import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, createStore } from "../store.js";
import { after, hold, now, order, sale, welcome } from "./world.mjs";

test("of two accounts of an order the higher version wins, in any order", () => {
  const accepted = { type: "order", order: order() };
  const paid = { type: "order", order: order({ state: "paid", version: 4, charge: "ch_1" }) };
  assert.equal(after(accepted, paid).orders.o1.state, "paid");
  assert.equal(after(paid, accepted).orders.o1.state, "paid");
});

test("a welcome does not take back what is known to be newer", () => {
  const paid = { type: "order", order: order({ state: "paid", version: 4 }) };
  const state = after(welcome(), paid, welcome({ orders: [order({ version: 2, state: "charging" })] }));
  assert.equal(state.orders.o1.state, "paid");
});

test("a message heard twice changes nothing the second time", () => {
  const message = { type: "order", order: order({ queue: { position: 4, eta_ms: 100 } }) };
  assert.deepEqual(after(message, message), after(message));
});

test("the place in the queue is kept until something newer is told", () => {
  const queue = { type: "queue", orders: [{ id: "o1", position: 3, eta_ms: 900 }, { id: "nobody", position: 1, eta_ms: 1 }] };
  const state = after({ type: "order", order: order() }, queue, { type: "order", order: order() });
  assert.deepEqual(state.orders.o1.place, { position: 3, at: now + 900 });
  assert.equal(state.orders.nobody, undefined);
  assert.equal(apply(state, { type: "order", order: order({ version: 2 }) }, now).orders.o1.place, null);
});

test("an unknown time left stays unknown", () => {
  const state = after({ type: "order", order: order({ queue: { position: 9, eta_ms: null } }) });
  assert.deepEqual(state.orders.o1.place, { position: 9, at: null });
});

test("durations become deadlines when they arrive", () => {
  const state = after(welcome({ holds: [hold({ expires_in_ms: 5000 })] }), { type: "sale", sale: sale({ opens_in_ms: 700 }) });
  assert.equal(state.holds.h1.deadline, now + 5000);
  assert.equal(state.sales.demo.opensAt, now + 700);
  assert.equal(state.sales.demo.closesAt, null);
});

test("holds that a welcome does not name are gone", () => {
  assert.deepEqual(after(welcome({ holds: [hold()] }), welcome()).holds, {});
});

test("stock of an older epoch is ignored", () => {
  const stock = (epoch, free) => ({ type: "stock", sale: "demo", epoch, status: "open", tiers: [{ id: "ga", free }] });
  const state = after({ type: "sale", sale: sale() }, welcome(), stock(8, 5), stock(7, 99));
  assert.equal(state.sales.demo.tiers[0].free, 5);
  assert.equal(state.epochs.demo, 8);
});

test("stock tells the sale's status, and tiers it does not name keep theirs", () => {
  const state = after({ type: "sale", sale: sale() }, { type: "stock", sale: "demo", epoch: 1, status: "paused", tiers: [] });
  assert.equal(state.sales.demo.status, "paused");
  assert.equal(state.sales.demo.tiers[0].free, 10);
});

test("another customer's welcome forgets the first one's orders", () => {
  const state = after(welcome({ orders: [order()] }), welcome({ customer: "c2" }));
  assert.deepEqual(state.orders, {});
});

test("an unknown kind of message changes nothing", () => {
  const state = after(welcome());
  assert.equal(apply(state, { type: "notice", text: "hello" }, now), state);
  assert.equal(apply(state, null, now), state);
});

test("the store tells its listeners only when something changed", () => {
  const store = createStore(() => now);
  const heard = [];
  const stop = store.subscribe((_, message) => heard.push(message.type));
  store.send(welcome());
  store.send({ type: "unheard_of" });
  stop();
  store.send(welcome());
  assert.deepEqual(heard, ["welcome"]);
});
