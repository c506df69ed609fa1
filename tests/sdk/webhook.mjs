// Stripe's Node SDK signs events for the shop: node webhook.mjs http://127.0.0.1:3000 whsec_…

import assert from "node:assert/strict";

import Stripe from "stripe";

const [, , shop, secret] = process.argv;
const stripe = new Stripe("sk_test_sandbox");
const payload = JSON.stringify({
  id: "evt_node", object: "event", type: "customer.created", livemode: false, data: { object: { object: "customer" } },
}, null, 2);

async function send(header) {
  const headers = { "content-type": "application/json; charset=utf-8", "stripe-signature": header };
  return fetch(`${shop}/webhooks/stripe`, { method: "POST", headers, body: payload });
}

const signed = (options) => stripe.webhooks.generateTestHeaderString({ payload, secret, ...options });
assert.equal((await send(signed({}))).status, 200);
assert.equal((await send(signed({}))).status, 200);
assert.equal((await (await send(signed({ secret: "whsec_of_another" }))).json()).code, "bad_signature");
const old = Math.floor(Date.now() / 1000) - 400;
assert.equal((await (await send(signed({ timestamp: old }))).json()).code, "stale_signature");
