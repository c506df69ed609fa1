// The sandbox's answers against Stripe's own types: node types/check.mjs http://127.0.0.1:12111
//
// Records one answer of each kind as an object literal of the SDK's type and lets `tsc --strict` read them. A literal
// must have every field that the type requires and may have none that it does not know, so both a missing field and an
// invented one are found. Exits with 1 when the compiler complains.

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const base = process.argv[2] ?? "http://127.0.0.1:12111";
const here = fileURLToPath(new URL(".", import.meta.url));

async function call(method, path, form = {}) {
  const query = new URLSearchParams(form);
  const url = `${base}/v1${path}${method === "GET" && query.size ? `?${query}` : ""}`;
  const response = await fetch(url, {
    method,
    headers: { authorization: "Bearer sk_test_sandbox" },
    body: method === "GET" ? undefined : query,
  });
  return response.json();
}

const recorded = [];
const record = (type, value) => {
  if (value.error) throw new Error(`${type}: ${value.error.message}`);
  recorded.push([type, value]);
  return value;
};

const order = () => ({ amount: 2500, currency: "usd", "allowed_payment_method_types[]": "card", "metadata[order]": randomUUID() });
const pay = (form) => call("POST", "/payment_intents", { ...order(), confirm: true, ...form });

const paid = record("PaymentIntent", await pay({ payment_method: "pm_card_visa" }));
record("PaymentIntent", await pay({ payment_method: "pm_card_visa", "expand[]": "latest_charge", "expand[1]": "payment_method" }));
record("PaymentIntent", await call("POST", "/payment_intents", { amount: 900, currency: "eur", "shipping[name]": "A", "shipping[address][line1]": "1 Road" }));
record("PaymentIntent", await pay({ payment_method: "pm_card_threeDSecure2Required" }));
record("PaymentIntent", await pay({ payment_method: "pm_card_threeDSecure2Required", return_url: "http://127.0.0.1/back" }));
record("PaymentIntent", await pay({ payment_method: "pm_card_visa", capture_method: "manual" }));
const declined = (await pay({ payment_method: "pm_card_visa_chargeDeclined" })).error;
record("PaymentIntent", declined.payment_intent);
record("PaymentMethod", declined.payment_method);
const open = await call("POST", "/payment_intents", { amount: 900, currency: "eur" });
record("PaymentIntent", await call("POST", `/payment_intents/${open.id}/cancel`));

record("Charge", await call("GET", `/charges/${declined.charge}`));
record("Charge", await call("GET", `/charges/${paid.latest_charge}`));
record("Charge", await call("POST", "/charges", { amount: 900, currency: "eur", source: "tok_visa" }));
const challenged = await pay({ payment_method: "pm_card_threeDSecure2Required" });
await fetch(`${base}/_sandbox/3ds/${challenged.id}`, {
  method: "POST",
  body: new URLSearchParams({ client_secret: challenged.client_secret, outcome: "complete" }),
});
record("Charge", await call("GET", `/charges/${(await call("GET", `/payment_intents/${challenged.id}`)).latest_charge}`));
record("Refund", await call("POST", "/refunds", { payment_intent: paid.id, amount: 100, "expand[]": "balance_transaction" }));
const slow = await pay({ payment_method: "pm_card_pendingRefund" });
record("Refund", await call("POST", "/refunds", { payment_intent: slow.id }));
record("Charge", await call("GET", `/charges/${paid.latest_charge}`, { "expand[]": "refunds", "expand[1]": "balance_transaction" }));

const items = { "line_items[0][quantity]": 2, "line_items[0][price_data][currency]": "usd", "line_items[0][price_data][unit_amount]": 1250, "line_items[0][price_data][product_data][name]": "Standing" };
const session = () => call("POST", "/checkout/sessions", { mode: "payment", ...items, "allowed_payment_method_types[]": "card", customer_email: "a@example.com", "metadata[order]": randomUUID(), success_url: "http://127.0.0.1/done", cancel_url: "http://127.0.0.1/back" });
const hosted = record("Checkout.Session", await session());
await fetch(hosted.url, {
  method: "POST",
  redirect: "manual",
  body: new URLSearchParams({ email: "a@example.com", number: "4242424242424242", expiry: "12/40", cvc: "123", name: "A" }),
});
record("Checkout.Session", await call("GET", `/checkout/sessions/${hosted.id}`));
record("Checkout.Session", await call("GET", `/checkout/sessions/${hosted.id}`, { "expand[]": "payment_intent" }));
const left = await session();
record("Checkout.Session", await call("POST", `/checkout/sessions/${left.id}/expire`));
// The SDK reads a price's decimal as an object of its own; what is on the wire cannot be written as a literal of it.
const bare = (item) => ({ ...item, price: { ...item.price, unit_amount_decimal: null } });
for (const item of (await call("GET", `/checkout/sessions/${hosted.id}/line_items`)).data) record("LineItem", bare(item));

const card = { "card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "2040", "card[cvc]": "123" };
record("Token", await call("POST", "/tokens", card));
record("PaymentMethod", await call("POST", "/payment_methods", { type: "card", ...card }));
record("ConfirmationToken", await call("POST", "/test_helpers/confirmation_tokens", { payment_method: "pm_card_visa" }));
const customer = record("Customer", await call("POST", "/customers", { email: "a@example.com", "address[city]": "Bern" }));
record("Customer", await call("GET", `/customers/${customer.id}`));
const hook = record("WebhookEndpoint", await call("POST", "/webhook_endpoints", { url: "http://127.0.0.1:9/", "enabled_events[]": "customer.deleted" }));
await call("DELETE", `/webhook_endpoints/${hook.id}`);
for (const kind of ["payment_intent.succeeded", "charge.failed", "refund.created", "customer.created", "checkout.session.completed"]) {
  const [event] = (await call("GET", "/events", { type: kind, limit: 1 })).data;
  record("Event", event);
}
recorded.push(["ApiList<Stripe.Charge>", await call("GET", "/charges", { limit: 2 })]);

const text = recorded.map(([type, value], at) => `export const n${at}: Stripe.${type} = ${JSON.stringify(value, null, 2)};\n`);
writeFileSync(`${here}recorded.ts`, `import type Stripe from "stripe";\n\n${text.join("\n")}`);
const compiler = fileURLToPath(new URL("../node_modules/.bin/tsc", import.meta.url));
const { status, stdout } = spawnSync(compiler, ["--project", here], { encoding: "utf8" });
process.stdout.write(stdout);
console.log(status === 0 ? `ok    ${recorded.length} answers have exactly the fields of Stripe's types` : "FAIL  the types disagree");
process.exit(status === 0 ? 0 : 1);
