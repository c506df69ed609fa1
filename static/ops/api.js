// The operators' HTTP calls. A refusal and an answer that never came are those of the shop's own calls.

import { call } from "../api.js";

const at = encodeURIComponent;

/** Who am I, and what may I do. */
export const me = () => call("GET", "/ops/api/me");

/** Begins a session. */
export const logIn = (name, password) => call("POST", "/ops/api/login", { name, password });

/** Ends it. */
export const logOut = () => call("POST", "/ops/api/logout");

/** Opens, pauses, resumes or closes a sale. */
export const steer = (sale, what, reason) => call("POST", `/ops/api/sales/${at(sale)}/${what}`, { reason });

/** Adds units; the same `request` again is the same addition. */
export const addStock = (sale, tier, quantity, request, reason) =>
  call("POST", `/ops/api/sales/${at(sale)}/stock`, { tier, quantity, request, reason });

/** Every queue, and the jobs that wait for a person. */
export const jobs = () => call("GET", "/ops/api/jobs");

/** Sends a dead job to its queue again, or forgets it: `retry`, `discard`. */
export const endJob = (what, queue, key, reason) => call("POST", `/ops/api/jobs/${what}`, { queue, key, reason });

/** Charges that a worker has in hand at once; `null` leaves that to its budget. */
export const setConcurrency = (name, concurrency, reason) =>
  call("POST", `/ops/api/workers/${at(name)}/concurrency`, { concurrency, reason });

/** Lets a worker finish what it has, and end. */
export const drain = (name, reason) => call("POST", `/ops/api/workers/${at(name)}/drain`, { reason });

/** An order and its story. */
export const order = (id) => call("GET", `/ops/api/orders/${at(id)}`);

/** Orders that wait for a decision. */
export const reviews = () => call("GET", "/ops/api/reviews");

/** Decides about one of them. */
export const decide = (id, decision, reason) => call("POST", `/ops/api/orders/${at(id)}/review`, { decision, reason });

/** What operators did, the newest first. */
export const trail = (before) => call("GET", `/ops/api/trail${before ? `?before=${at(before)}` : ""}`);
