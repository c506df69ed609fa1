// Holding and paying against a shop that answers what each story needs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal, Unreachable } from "../api.js";
import { CardProblem } from "../card.js";
import { Draft, uuid } from "../draft.js";
import { Holding } from "../holding.js";
import { text } from "../messages.js";
import { Notices } from "../notices.js";
import { Paying } from "../paying.js";
import { createStore } from "../store.js";
import { declined, now, order, sale, welcome } from "./world.mjs";

let worlds = 0;

function world() {
  worlds += 1;
  const slug = `demo-${worlds}`;
  const memory = new Map();
  const storage = {
    getItem: (key) => memory.get(key) ?? null,
    setItem: (key, value) => memory.set(key, value),
    removeItem: (key) => memory.delete(key),
  };
  const w = { calls: [], answers: {}, tokens: 0, time: now, said: [], gone: [] };
  const answer = (call) => async (...args) => {
    w.calls.push([call, ...args]);
    const next = w.answers[call].length > 1 ? w.answers[call].shift() : w.answers[call][0];
    if (next instanceof Error) throw next;
    return typeof next === "function" ? next(...args) : next;
  };
  const held = (id, _, items) => ({ hold: id, items, amount: 5000, currency: "usd", expires_in_ms: 60_000 });
  w.answers = { takeHold: [held], releaseHold: [null], session: [{}], refresh: [{}], charge: [(body) => order({ id: body.order, sale: slug })] };
  const api = Object.fromEntries(["takeHold", "releaseHold", "session", "charge", "checkout", "refresh"].map((call) => [call, answer(call)]));
  w.bank = () => true;
  w.card = { problem: null, confirm: async (secret) => w.bank(secret), tokenise: async () => {
    if (w.card.problem) throw w.card.problem;
    w.tokens += 1;
    return `pm_${w.tokens}`;
  } };
  w.store = createStore(() => w.time);
  w.draft = new Draft(storage, slug);
  w.notices = new Notices(() => w.said.push(w.notices.waiting ?? w.notices.busy));
  const parts = { api, store: w.store, draft: w.draft, notices: w.notices, slug, now: () => w.time };
  w.holding = new Holding(parts);
  w.paying = new Paying({ ...parts, card: w.card, holding: w.holding, wait: async () => {}, go: (url) => w.gone.push(url) });
  w.store.send({ type: "sale", sale: sale({ slug }) });
  w.store.send(welcome({ epochs: { [slug]: 7 } }));
  w.welcome = (more) => w.store.send(welcome({ epochs: { [slug]: 7 }, ...more }));
  w.count = (call) => w.calls.filter(([name]) => name === call).length;
  w.slug = slug;
  return w;
}

const items = [{ tier: "ga", quantity: 2 }];
const buyer = { name: "Ada", email: "ada@example.com" };

async function payWith(w) {
  await w.holding.reserve(items);
  return w.paying.pay({ hold: w.draft.read(), ...buyer });
}

test("the hold's id is written down before it is sent", async () => {
  const w = world();
  w.answers.takeHold = [(id) => {
    assert.equal(w.draft.read().hold, id);
    assert.equal(w.draft.read().phase, "holding");
    return { hold: id, items, amount: 5000, currency: "usd", expires_in_ms: 60_000 };
  }];
  await w.holding.reserve(items);
  assert.equal(w.draft.read().phase, "held");
  assert.equal(w.draft.read().deadline, now + 60_000);
});

test("a hold whose answer is lost is asked for again under the same id", async () => {
  const w = world();
  w.answers.takeHold.unshift(new Unreachable());
  await w.holding.reserve(items);
  const ids = w.calls.map(([, id]) => id);
  assert.equal(ids.length, 2);
  assert.equal(ids[0], ids[1]);
  assert.ok(w.said.includes("unanswered"));
});

test("a sold-out answer names the tier, and the buyer chooses again", async () => {
  const w = world();
  w.answers.takeHold = [new Refusal({ status: 409, code: "sold_out", tier: "ga" })];
  await w.holding.reserve(items);
  assert.equal(w.draft.read(), null);
  assert.equal(w.notices.alert, text.alert.sold_out("General"));
});

test("the order's id and token are written down before they are sent", async () => {
  const w = world();
  w.answers.charge = [(body) => {
    const { phase, order: id, token } = w.draft.read();
    assert.deepEqual([phase, id, token], ["paying", body.order, body.token]);
    return order({ id, sale: w.slug });
  }];
  await payWith(w);
  assert.equal(w.count("charge"), 1);
});

test("after the answer the token is forgotten, and the order is known", async () => {
  const w = world();
  await payWith(w);
  const { phase, token, order: id } = w.draft.read();
  assert.deepEqual([phase, token], ["sent", null]);
  assert.equal(w.store.state.orders[id].state, "accepted");
});

test("pressing Pay twice sends one order and makes one token", async () => {
  const w = world();
  await w.holding.reserve(items);
  const hold = w.draft.read();
  await Promise.all([w.paying.pay({ hold, ...buyer }), w.paying.pay({ hold, ...buyer })]);
  await w.paying.pay({ hold, ...buyer });
  assert.equal(w.count("charge"), 1);
  assert.equal(w.tokens, 1);
});

test("a lost answer is followed by the same order with the same token", async () => {
  const w = world();
  w.answers.charge.unshift(new Unreachable(), new Refusal({ status: 503, code: "unavailable", retryAfterMs: 1 }));
  await payWith(w);
  const bodies = w.calls.filter(([name]) => name === "charge").map(([, body]) => `${body.order} ${body.token}`);
  assert.equal(bodies.length, 3);
  assert.equal(new Set(bodies).size, 1);
  assert.ok(w.said.includes("resending"));
  assert.ok(w.said.includes("resending_busy"));
});

test("the room's word ends the sending, even while the answer is awaited", async () => {
  const w = world();
  let asked;
  const reached = new Promise((resolve) => {
    asked = resolve;
  });
  w.answers.charge = [() => {
    asked();
    return new Promise(() => {});
  }];
  const paying = payWith(w);
  await reached;
  w.store.send({ type: "order", order: order({ id: w.draft.read().order, sale: w.slug }) });
  await paying;
  assert.equal(w.draft.read().phase, "sent");
});

test("a page that was reloaded while sending sends the same pair again", async () => {
  const w = world();
  w.draft.write({ phase: "paying", hold: "h1", order: "o9", token: "pm_9", version: 0, ...buyer });
  await w.paying.resume();
  assert.deepEqual(w.calls, [["charge", w.calls[0][1]]]);
  assert.deepEqual([w.calls[0][1].order, w.calls[0][1].token], ["o9", "pm_9"]);
});

test("a page that was reloaded after the order arrived sends nothing", async () => {
  const w = world();
  w.draft.write({ phase: "paying", hold: "h1", order: "o1", token: "pm_9", version: 0, ...buyer });
  w.welcome({ orders: [order({ sale: w.slug, state: "charging", version: 2 })] });
  await w.paying.resume();
  assert.equal(w.calls.length, 0);
  assert.deepEqual([w.draft.read().phase, w.draft.read().token], ["sent", null]);
});

test("another try is the same order with a new token", async () => {
  const w = world();
  await payWith(w);
  const { order: id, hold } = w.draft.read();
  w.store.send({ type: "order", order: declined({ id, hold, sale: w.slug }) });
  const retry = w.store.state.orders[id];
  w.answers.charge = [(body) => order({ id: body.order, sale: w.slug, version: 4 })];
  await w.paying.pay({ hold: retry, retry, ...buyer });
  const bodies = w.calls.filter(([name]) => name === "charge").map(([, body]) => body);
  assert.equal(bodies[1].order, bodies[0].order);
  assert.notEqual(bodies[1].token, bodies[0].token);
  assert.equal(w.store.state.orders[id].state, "accepted");
});

test("a card that cannot be read is said at the card, and nothing is sent", async () => {
  const w = world();
  w.card.problem = new CardProblem("Your card number is incomplete.");
  await payWith(w);
  assert.equal(w.count("charge"), 0);
  assert.equal(w.notices.fields.card, "Your card number is incomplete.");
  assert.equal(w.draft.read().phase, "held");
});

test("a refused address is said at its field, and the same order can be sent again", async () => {
  const w = world();
  w.answers.charge = [new Refusal({ status: 422, code: "invalid", field: "email", detail: "No such address." })];
  await payWith(w);
  const { phase, order: id } = w.draft.read();
  assert.equal(phase, "held");
  assert.equal(w.notices.fields.email, "No such address.");
  w.answers.charge = [(body) => order({ id: body.order, sale: w.slug })];
  await w.paying.pay({ hold: w.draft.read(), ...buyer });
  assert.equal(w.draft.read().order, id);
});

test("a hold that ran out at the server leads back to the choice", async () => {
  const w = world();
  w.answers.charge = [new Refusal({ status: 409, code: "hold_expired" })];
  await payWith(w);
  assert.equal(w.draft.read(), null);
  assert.equal(w.notices.alert, text.alert.hold_expired);
});

test("an order id that is somebody else's is not used again", async () => {
  const w = world();
  w.answers.charge = [new Refusal({ status: 409, code: "order_conflict" })];
  await payWith(w);
  assert.deepEqual([w.draft.read().phase, w.draft.read().order], ["held", null]);
});

test("an order in progress elsewhere is awaited, not sent again", async () => {
  const w = world();
  w.answers.charge = [new Refusal({ status: 409, code: "order_in_progress" })];
  await payWith(w);
  assert.equal(w.draft.read().phase, "sent");
});

test("a hold that a later welcome does not know has run out", async () => {
  const w = world();
  await w.holding.reserve(items);
  w.welcome({ asked_at: now - 1 });
  await w.holding.reconcile();
  assert.equal(w.draft.read().phase, "held");
  w.welcome({ asked_at: now + 1 });
  await w.holding.reconcile();
  assert.equal(w.draft.read(), null);
  assert.equal(w.notices.alert, text.alert.hold_expired);
});

test("a new epoch takes a new hold for the same tickets, and says so", async () => {
  const w = world();
  await w.holding.reserve(items);
  const first = w.draft.read().hold;
  w.store.send({ type: "stock", sale: w.slug, epoch: 8, status: "open", tiers: [] });
  await Promise.all([w.holding.reconcile(), w.holding.reconcile()]);
  const { hold, phase, epoch } = w.draft.read();
  assert.notEqual(hold, first);
  assert.deepEqual([phase, epoch], ["held", 8]);
  assert.ok(w.said.includes("renewing"));
  assert.equal(w.count("takeHold"), 2);
});

test("a hold that was given back is not offered again", async () => {
  const w = world();
  await w.holding.reserve(items);
  const { hold } = w.draft.read();
  await w.holding.release(hold);
  assert.equal(w.draft.read(), null);
  assert.ok(w.draft.dismissed.has(hold));
  assert.equal(w.count("releaseHold"), 1);
});

/** The order of this browser is at the bank's challenge. */
async function asked(w, more = {}) {
  if (!w.draft.read()) await payWith(w);
  const { order: id, hold } = w.draft.read();
  const action = { client_secret: "pi_secret" };
  w.store.send({ type: "order", order: order({ id, hold, sale: w.slug, state: "requires_action", version: 3, action, ...more }) });
  return w.store.state.orders[id];
}

test("the bank's window opens by itself once per question, and only where the card was typed", async () => {
  const w = world();
  let opened = 0;
  w.bank = () => {
    opened += 1;
    return true;
  };
  const first = await asked(w);
  await Promise.all([w.paying.confirm(first, { byItself: true }), w.paying.confirm(first, { byItself: true })]);
  await w.paying.confirm(first, { byItself: true });
  assert.equal(opened, 1);
  // Another card on the same payment has the same secret, and is another question.
  await w.paying.confirm(await asked(w, { version: 6 }), { byItself: true });
  assert.equal(opened, 2);
  const other = order({ id: "o9", state: "requires_action", version: 3, action: { client_secret: "s" } });
  await w.paying.confirm(other, { byItself: true });
  assert.equal(opened, 2, "another tab paid");
  await w.paying.confirm(other);
  assert.equal(opened, 3, "the button opens it anywhere");
});

test("when the room is silent the server is told once that the buyer is done", async () => {
  const w = world();
  const question = await asked(w);
  await w.paying.confirm(question, { byItself: true });
  assert.deepEqual(w.calls.filter(([call]) => call === "refresh"), [["refresh", question.id]]);
  assert.equal(w.notices.bank.phase, "checking");
});

test("when the room tells the result nothing is asked", async () => {
  const w = world();
  const question = await asked(w);
  w.bank = () => {
    w.store.send({ type: "order", order: order({ id: question.id, sale: w.slug, state: "paid", version: 4 }) });
    return true;
  };
  await w.paying.confirm(question, { byItself: true });
  assert.equal(w.count("refresh"), 0);
});

test("a window that was closed is told to be unfinished, and one that cannot load asks nothing", async () => {
  const w = world();
  const question = await asked(w);
  w.bank = () => false;
  await w.paying.confirm(question);
  assert.deepEqual([w.notices.bank.phase, w.count("refresh")], ["unfinished", 1]);
  w.bank = () => {
    throw new Error("no network");
  };
  await w.paying.confirm(question);
  assert.deepEqual([w.notices.bank.phase, w.count("refresh")], ["unreachable", 1]);
});

test("who gives a card up is led to the form when it is called off, once", async () => {
  const w = world();
  const question = await asked(w);
  await w.paying.giveUp(question);
  assert.deepEqual(w.calls.at(-1), ["refresh", question.id, { giveUp: true }]);
  assert.equal(w.notices.bank.phase, "giving_up");
  assert.equal(w.paying.wantsAnotherCard(question), false);
  const gone = declined({ id: question.id, version: 4 });
  assert.equal(w.paying.wantsAnotherCard(gone), true);
  assert.equal(w.paying.wantsAnotherCard(gone), false);
});

test("who gives a card up that has paid in that moment is told so, and sees no form", async () => {
  const w = world();
  const question = await asked(w);
  await w.paying.giveUp(question);
  assert.equal(w.paying.wantsAnotherCard(order({ id: question.id, state: "paid", version: 4 })), false);
  assert.equal(w.paying.wantsAnotherCard(declined({ id: question.id, version: 5 })), false);
});

test("a card that cannot be given up just now can be tried again", async () => {
  const w = world();
  const question = await asked(w);
  w.answers.refresh = [new Refusal({ status: 409, code: "no" })];
  await w.paying.giveUp(question);
  assert.equal(w.notices.bank.phase, "kept");
});

const page = "https://checkout.example/cs_1";

test("the buyer is led to Stripe's page once, by the tab that asked, and no card is needed", async () => {
  const w = world();
  w.answers.checkout = [(body) => order({ id: body.order, sale: w.slug, state: "accepted" })];
  await w.holding.reserve(items);
  await w.paying.pay({ hold: w.draft.read(), hosted: true, ...buyer });
  assert.deepEqual([w.tokens, w.count("charge"), w.count("checkout")], [0, 0, 1]);
  const id = w.draft.read().order;
  const waits = order({ id, sale: w.slug, version: 5, state: "requires_action", action: { url: page } });
  await w.paying.confirm(waits, { byItself: true });
  await w.paying.confirm(waits, { byItself: true });
  assert.deepEqual(w.gone, [page]);
  await w.paying.confirm(waits);
  assert.deepEqual(w.gone, [page, page], "and again whenever the buyer wants to");
  await w.paying.confirm({ ...waits, id: "another", version: 9 }, { byItself: true });
  assert.equal(w.gone.length, 2, "another tab's order leads nowhere by itself");
});

test("who comes back and says to have paid is believed by nobody; the shop is asked to look, once", async () => {
  const w = world();
  const waits = order({ sale: w.slug, state: "requires_action", action: { url: page } });
  w.store.send({ type: "order", order: waits });
  await w.paying.returned(w.store.state.orders[waits.id]);
  assert.deepEqual([w.count("refresh"), w.notices.bank], [1, null]);
  assert.equal(w.store.state.orders[waits.id].state, "requires_action");
});

test("ids are UUIDs of version 7: they sort by their time, and two of one moment differ", () => {
  const [early, late, other] = [uuid(1763715600000), uuid(1763715600001), uuid(1763715600001)];
  assert.match(early, /^019aa5a4-4e80-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.ok(early < late && late !== other);
  assert.ok(uuid() > late, "by default it is now");
});
