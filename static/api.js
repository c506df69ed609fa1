// The shop's HTTP calls. Every answer is one of three: the value; a `Refusal`, when the
// server understood and said no (problem+json, RFC 9457); or `Unreachable`, when nobody can
// know whether the request took effect. Only calls that are safe to repeat are ever repeated.

/** Milliseconds after which an unanswered request counts as unreachable. */
const answerWithin = 20_000;

/** The server said no, and why. */
export class Refusal extends Error {
  constructor({ status, code, detail, tier = null, field = null, retryAfterMs = null, ownTime = false }) {
    super(detail ?? code);
    Object.assign(this, { name: "Refusal", status, code, detail, tier, field, retryAfterMs, ownTime });
  }
}

/** No usable answer: broken network, timeout, or a broken server. The outcome is unknown. */
export class Unreachable extends Error {
  constructor(cause) {
    super("no answer", { cause });
    this.name = "Unreachable";
  }
}

export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout?.(answerWithin),
    });
    if (response.status === 204) return null;
    if (response.ok) return await response.json();
  } catch (error) {
    throw new Unreachable(error);
  }
  throw await refusalOf(response);
}

async function refusalOf(response) {
  const problem = await response.json().catch(() => null);
  const after = Number.parseFloat(response.headers.get("retry-after") ?? "");
  // Our own time is to the millisecond, and each has another one; a proxy's may be the same for all.
  const ownTime = Number.isFinite(problem?.retry_in_ms);
  const retryAfterMs = ownTime ? problem.retry_in_ms : Number.isFinite(after) ? after * 1000 : null;
  // A 5xx without the server's own words may come from a proxy in front of it.
  if (response.status >= 500 && problem?.code !== "unavailable" && retryAfterMs === null) {
    return new Unreachable(new Error(`status ${response.status}`));
  }
  return new Refusal({
    status: response.status,
    code: problem?.code ?? `http_${response.status}`,
    detail: problem?.detail ?? null,
    tier: problem?.tier ?? null,
    field: problem?.field ?? null,
    retryAfterMs,
    ownTime,
  });
}

const at = encodeURIComponent;

/** Who am I, and which Stripe; sets the cookie when there is none. */
export const session = () => call("GET", "/api/session");

/** All sales, as a list. */
export async function sales() {
  const answer = await call("GET", "/api/sales");
  return (Array.isArray(answer) ? answer : answer.sales).map(named);
}

/** One sale. */
export const sale = async (slug) => named(await call("GET", `/api/sales/${at(slug)}`));

// The slug is called `sale` in the socket's messages and `slug` in the sale itself.
const named = (sale) => ({ ...sale, slug: sale.slug ?? sale.sale });

/** Takes stock for `items`, or finds the hold again that bears this client-made UUID. */
export const takeHold = (hold, sale, items) => call("POST", "/api/holds", { hold, sale, items });

/** Gives the stock back at once. */
export const releaseHold = (hold) => call("DELETE", `/api/holds/${at(hold)}`);

/** The buyer is done with the bank's question, or gives this card up: the shop asks Stripe what became of it. */
export const refresh = (order, { giveUp = false } = {}) =>
  call("POST", `/api/orders/${at(order)}/refresh`, { give_up: giveUp });

/** Sends an order that is paid on Stripe's own page; the same order again is the same page. Answers the order. */
export const checkout = async ({ order, hold, email, name }) =>
  (await call("POST", "/checkout", { order, hold, email, name })).order;

/** Sends an order; the same order and token again is a replay, however often. */
export const charge = ({ order, token, hold, email, name }) =>
  call("POST", "/charges", { order, token, hold, email, name });
