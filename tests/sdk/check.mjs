// Stripe's Node SDK against the sandbox: node check.mjs http://127.0.0.1:12111
//
// One line per check; exits with 1 when one of them fails.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import Stripe from "stripe";

const base = new URL(process.argv[2] ?? "http://127.0.0.1:12111");
const stripe = new Stripe("sk_test_sandbox", {
  host: base.hostname,
  port: base.port,
  protocol: "http",
  maxNetworkRetries: 0,
  telemetry: false,
});
const page = new Stripe("pk_test_sandbox", {
  host: base.hostname,
  port: base.port,
  protocol: "http",
  maxNetworkRetries: 0,
  telemetry: false,
});

let failures = 0;
async function check(name, body) {
  try {
    await body();
    console.log(`ok    ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${name}\n      ${String(error.stack ?? error).replaceAll("\n", "\n      ")}`);
  }
}

const purchase = (over = {}) => ({
  amount: 2500,
  currency: "usd",
  confirm: true,
  payment_method: "pm_card_visa",
  allowed_payment_method_types: ["card"],
  metadata: { order: randomUUID() },
  ...over,
});

/** The error that a call ends with. */
async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("the call was expected to be refused");
}

await check("create and confirm in one call: succeeded, with a charge", async () => {
  const intent = await stripe.paymentIntents.create(purchase({ expand: ["latest_charge.balance_transaction"] }));
  assert.equal(intent.status, "succeeded");
  assert.equal(intent.amount_received, 2500);
  assert.match(intent.latest_charge.id, /^ch_/);
  assert.equal(intent.latest_charge.paid, true);
  assert.equal(intent.latest_charge.balance_transaction.amount, 2500);
  assert.match(intent.lastResponse.requestId, /^req_/);
});

await check("create, then confirm", async () => {
  const created = await stripe.paymentIntents.create(purchase({ confirm: false, payment_method: undefined }));
  assert.equal(created.status, "requires_payment_method");
  const intent = await stripe.paymentIntents.confirm(created.id, { payment_method: "pm_card_mastercard" });
  assert.equal(intent.status, "succeeded");
});

await check("the list of methods is taken by both of its names, and cards are all that is in it", async () => {
  const named = await stripe.paymentIntents.create(purchase());
  assert.deepEqual(named.allowed_payment_method_types, ["card"]);
  const older = await stripe.paymentIntents.create(
    purchase({ allowed_payment_method_types: undefined, payment_method_types: ["card"] }),
    { apiVersion: "2025-03-31.basil" },
  );
  assert.deepEqual([older.status, older.payment_method_types], ["succeeded", ["card"]]);
  const removed = await refused(
    stripe.paymentIntents.create(purchase({ allowed_payment_method_types: undefined, payment_method_types: ["card"] })),
  );
  assert.equal(removed.code, "payment_method_types_no_longer_supported");
  const error = await refused(stripe.paymentIntents.create(purchase({ allowed_payment_method_types: ["klarna"] })));
  assert.equal(error.param, "allowed_payment_method_types");
});

await check("create with the data of a new payment method, made of a token", async () => {
  const intent = await stripe.paymentIntents.create(
    purchase({ payment_method: undefined, payment_method_data: { type: "card", card: { token: "tok_visa" } } }),
  );
  assert.equal(intent.status, "succeeded");
});

for (const [method, code, declineCode] of [
  ["pm_card_visa_chargeDeclined", "card_declined", "generic_decline"],
  ["pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"],
  ["pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"],
  ["pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"],
  ["pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"],
  ["pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"],
  ["pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"],
]) {
  await check(`decline: ${method}`, async () => {
    const error = await refused(stripe.paymentIntents.create(purchase({ payment_method: method })));
    assert.ok(error instanceof Stripe.errors.StripeCardError);
    assert.equal(error.statusCode, 402);
    assert.equal(error.code, code);
    assert.equal(error.decline_code, declineCode);
    assert.equal(error.payment_intent.status, "requires_payment_method");
    assert.match(error.charge, /^ch_/);
    const intent = await stripe.paymentIntents.retrieve(error.payment_intent.id);
    assert.equal(intent.last_payment_error.code, code);
  });
}

await check("a declined intent is paid with another card", async () => {
  const error = await refused(stripe.paymentIntents.create(purchase({ payment_method: "pm_card_chargeDeclined" })));
  const intent = await stripe.paymentIntents.confirm(error.payment_intent.id, { payment_method: "pm_card_visa" });
  assert.equal(intent.status, "succeeded");
  const charges = await stripe.charges.list({ payment_intent: intent.id });
  assert.deepEqual(charges.data.map(({ status }) => status), ["succeeded", "failed"]);
});

await check("3-D Secure: requires_action, then succeeded once the challenge is passed", async () => {
  const intent = await stripe.paymentIntents.create(purchase({ payment_method: "pm_card_threeDSecure2Required" }));
  assert.equal(intent.status, "requires_action");
  assert.equal(intent.next_action.type, "use_stripe_sdk");
  const answered = await fetch(new URL(`/_sandbox/3ds/${intent.id}`, base), {
    method: "POST",
    body: new URLSearchParams({ client_secret: intent.client_secret, outcome: "complete" }),
  });
  assert.equal(answered.status, 200);
  assert.equal((await stripe.paymentIntents.retrieve(intent.id)).status, "succeeded");
});

await check("cancel; a canceled intent cannot be confirmed", async () => {
  const created = await stripe.paymentIntents.create(purchase({ confirm: false }));
  const canceled = await stripe.paymentIntents.cancel(created.id, { cancellation_reason: "abandoned" });
  assert.equal(canceled.status, "canceled");
  const error = await refused(stripe.paymentIntents.confirm(created.id));
  assert.equal(error.code, "payment_intent_unexpected_state");
});

await check("a paid intent cannot be canceled", async () => {
  const intent = await stripe.paymentIntents.create(purchase());
  const error = await refused(stripe.paymentIntents.cancel(intent.id));
  assert.equal(error.code, "payment_intent_unexpected_state");
  assert.equal(error.payment_intent.status, "succeeded");
});

await check("authorise, then capture a part", async () => {
  const intent = await stripe.paymentIntents.create(purchase({ capture_method: "manual" }));
  assert.equal(intent.status, "requires_capture");
  const captured = await stripe.paymentIntents.capture(intent.id, { amount_to_capture: 1000 });
  assert.equal(captured.status, "succeeded");
  assert.equal(captured.amount_received, 1000);
});

await check("tokens, payment methods and customers", async () => {
  const number = "4242424242424242";
  const { id: token } = await page.tokens.create({ card: { number, exp_month: "12", exp_year: "2040", cvc: "123" } });
  const method = await stripe.paymentMethods.create({ type: "card", card: { token } });
  assert.equal(method.card.last4, "4242");
  assert.equal((await stripe.tokens.retrieve(token)).used, true);
  assert.equal((await stripe.paymentMethods.retrieve(method.id)).id, method.id);
  const customer = await stripe.customers.create({ email: "a@example.com", name: "A. Shopper" });
  assert.equal((await stripe.customers.retrieve(customer.id)).email, "a@example.com");
  const intent = await stripe.paymentIntents.create(purchase({ payment_method: method.id, customer: customer.id }));
  assert.equal(intent.customer, customer.id);
});

await check("confirmation tokens", async () => {
  const token = await stripe.testHelpers.confirmationTokens.create({ payment_method: "pm_card_visa" });
  assert.equal(token.payment_method_preview.card.brand, "visa");
  const intent = await stripe.paymentIntents.create(
    purchase({ payment_method: undefined, confirmation_token: token.id }),
  );
  assert.equal(intent.status, "succeeded");
  assert.equal((await stripe.confirmationTokens.retrieve(token.id)).payment_intent, intent.id);
});

await check("charges made of a source: created, retrieved, declined", async () => {
  const charge = await stripe.charges.create({ amount: 900, currency: "eur", source: "tok_visa", metadata: { a: "b" } });
  assert.equal(charge.status, "succeeded");
  assert.equal(charge.source.brand, "Visa");
  assert.equal((await stripe.charges.retrieve(charge.id)).metadata.a, "b");
  const error = await refused(stripe.charges.create({ amount: 900, currency: "eur", source: "tok_chargeDeclined" }));
  assert.equal(error.code, "card_declined");
});

await check("refund a part, then the rest, and never more", async () => {
  const intent = await stripe.paymentIntents.create(purchase());
  const refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 1000 });
  assert.equal(refund.status, "succeeded");
  assert.equal((await stripe.refunds.retrieve(refund.id)).amount, 1000);
  const tooMuch = await refused(stripe.refunds.create({ payment_intent: intent.id, amount: 1501 }));
  assert.equal(tooMuch.param, "amount");
  await stripe.refunds.create({ charge: intent.latest_charge });
  const none = await refused(stripe.refunds.create({ charge: intent.latest_charge }));
  assert.equal(none.code, "charge_already_refunded");
  const charge = await stripe.charges.retrieve(intent.latest_charge, { expand: ["refunds"] });
  assert.equal(charge.refunded, true);
  assert.equal(charge.refunds.data.length, 2);
  assert.equal((await stripe.refunds.list({ payment_intent: intent.id })).data.length, 2);
});

await check("lists: newest first, by cursor, by time, and by themselves to the end", async () => {
  const since = Math.floor(Date.now() / 1000) - 60;
  const ids = [];
  for (let n = 0; n < 5; n += 1) ids.unshift((await stripe.paymentIntents.create(purchase({ confirm: false }))).id);
  const first = await stripe.paymentIntents.list({ limit: 2, created: { gte: since } });
  assert.deepEqual(first.data.map(({ id }) => id), ids.slice(0, 2));
  assert.equal(first.has_more, true);
  const second = await stripe.paymentIntents.list({ limit: 2, starting_after: ids[1] });
  assert.deepEqual(second.data.map(({ id }) => id), ids.slice(2, 4));
  const back = await stripe.paymentIntents.list({ limit: 2, ending_before: ids[2] });
  assert.deepEqual(back.data.map(({ id }) => id), ids.slice(0, 2));
  const all = await stripe.paymentIntents.list({ limit: 3 }).autoPagingToArray({ limit: 7 });
  assert.deepEqual(all.slice(0, 5).map(({ id }) => id), ids);
  assert.equal((await stripe.paymentIntents.list({ created: { gt: since + 3600 } })).data.length, 0);
});

await check("a key replays its answer and executes nothing", async () => {
  const [params, options] = [purchase(), { idempotencyKey: randomUUID() }];
  const first = await stripe.paymentIntents.create(params, options);
  const again = await stripe.paymentIntents.create(params, options);
  assert.equal(again.id, first.id);
  assert.equal(again.lastResponse.headers["idempotent-replayed"], "true");
  assert.equal((await stripe.charges.list({ payment_intent: first.id })).data.length, 1);
});

await check("a key replays a decline too", async () => {
  const [params, options] = [purchase({ payment_method: "pm_card_chargeDeclined" }), { idempotencyKey: randomUUID() }];
  const first = await refused(stripe.paymentIntents.create(params, options));
  const again = await refused(stripe.paymentIntents.create(params, options));
  assert.equal(again.charge, first.charge);
  assert.equal(again.headers["idempotent-replayed"], "true");
});

await check("a key with other parameters is an idempotency error", async () => {
  const options = { idempotencyKey: randomUUID() };
  await stripe.paymentIntents.create(purchase(), options);
  const error = await refused(stripe.paymentIntents.create(purchase({ amount: 2600 }), options));
  assert.ok(error instanceof Stripe.errors.StripeIdempotencyError);
  assert.equal(error.statusCode, 400);
});

await check("one key, twenty requests at once: one execution, the others wait their turn or replay", async () => {
  const [params, options] = [purchase(), { idempotencyKey: randomUUID() }];
  const answers = await Promise.allSettled(
    Array.from({ length: 20 }, () => stripe.paymentIntents.create(params, options)),
  );
  const paid = answers.filter(({ status }) => status === "fulfilled").map(({ value }) => value.id);
  assert.ok(paid.length >= 1);
  assert.equal(new Set(paid).size, 1);
  for (const { reason } of answers.filter(({ status }) => status === "rejected")) {
    assert.equal(reason.statusCode, 409);
    assert.equal(reason.code, "idempotency_key_in_use");
  }
  assert.equal((await stripe.charges.list({ payment_intent: paid[0] })).data.length, 1);
});

await check("a validation error does not use the key up", async () => {
  const options = { idempotencyKey: randomUUID() };
  const error = await refused(stripe.paymentIntents.create(purchase({ amount: 0 }), options));
  assert.equal(error.param, "amount");
  assert.equal((await stripe.paymentIntents.create(purchase(), options)).status, "succeeded");
});

await check("unknown parameters, missing ones and missing objects", async () => {
  const unknown = await refused(stripe.paymentIntents.create({ ...purchase(), colour: "red" }));
  assert.equal(unknown.code, "parameter_unknown");
  assert.equal(unknown.param, "colour");
  const missing = await refused(stripe.paymentIntents.create({ currency: "usd" }));
  assert.equal(missing.code, "parameter_missing");
  const nowhere = await refused(stripe.paymentIntents.retrieve("pi_nowhere"));
  assert.equal(nowhere.statusCode, 404);
  assert.equal(nowhere.code, "resource_missing");
});

await check("keys: none, a wrong one, and a publishable one where a secret one is needed", async () => {
  const other = (key) => new Stripe(key, { host: base.hostname, port: base.port, protocol: "http", maxNetworkRetries: 0 });
  const error = await refused(other("sk_live_nope").paymentIntents.list());
  assert.ok(error instanceof Stripe.errors.StripeAuthenticationError);
  const forbidden = await refused(page.paymentIntents.create(purchase()));
  assert.equal(forbidden.statusCode, 403);
  const intent = await stripe.paymentIntents.create(purchase({ confirm: false }));
  const seen = await page.paymentIntents.retrieve(intent.id, { client_secret: intent.client_secret });
  assert.equal(seen.id, intent.id);
});

await check("events tell what happened", async () => {
  const intent = await stripe.paymentIntents.create(purchase());
  const events = await stripe.events.list({ limit: 3 });
  const kinds = events.data.map(({ type }) => type);
  assert.deepEqual(kinds, ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]);
  const event = await stripe.events.retrieve(events.data[0].id);
  assert.equal(event.data.object.id, intent.id);
});

await check("a webhook arrives, and the SDK believes its signature", async () => {
  const { createServer } = await import("node:http");
  let deliver;
  const delivered = new Promise((resolve) => (deliver = resolve));
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      deliver({ body: Buffer.concat(chunks), signature: request.headers["stripe-signature"] });
      response.end();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/hook`;
  const endpoint = await stripe.webhookEndpoints.create({ url, enabled_events: ["payment_intent.succeeded"] });
  try {
    const intent = await stripe.paymentIntents.create(purchase());
    const { body, signature } = await delivered;
    const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret);
    assert.equal(event.type, "payment_intent.succeeded");
    assert.equal(event.data.object.id, intent.id);
    assert.equal((await stripe.webhookEndpoints.list()).data.some(({ id }) => id === endpoint.id), true);
  } finally {
    await stripe.webhookEndpoints.del(endpoint.id);
    server.close();
    server.closeAllConnections();
  }
});

console.log(failures === 0 ? "all checks passed" : `${failures} checks failed`);
process.exit(failures === 0 ? 0 : 1);
