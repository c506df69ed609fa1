import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal, Unreachable } from "../api.js";
import { backoff, patiently, waitAfter } from "../retry.js";

const quick = { pause: async () => {}, random: () => 0.5 };
const busy = new Refusal({ status: 503, code: "unavailable", retryAfterMs: 2000 });

test("back-off doubles up to its cap, half of it random", () => {
  assert.equal(backoff(1, () => 0), 250);
  assert.equal(backoff(1, () => 1), 500);
  assert.equal(backoff(3, () => 1), 2000);
  assert.equal(backoff(99, () => 1), 15_000);
});

test("Retry-After is the least a crowd waits, and it comes back spread out", () => {
  assert.equal(waitAfter(busy, 1, () => 0), 2000);
  assert.equal(waitAfter(busy, 1, () => 1), 3000);
  const crowded = new Refusal({ status: 503, code: "unavailable", retryAfterMs: 240_000 });
  assert.equal(waitAfter(crowded, 1, () => 1), 255_000);
  const turn = new Refusal({ status: 503, code: "unavailable", retryAfterMs: 240_000, ownTime: true });
  assert.equal(waitAfter(turn, 1, () => 1), 242_000, "a turn is not missed");
});

test("a refusal for good is not asked again", () => {
  assert.equal(waitAfter(new Refusal({ status: 409, code: "sold_out" }), 1), null);
  assert.equal(waitAfter(new TypeError("a bug"), 1), null);
});

test("the same task is repeated until it is answered", async () => {
  const answers = [new Unreachable(), busy, "yes"];
  const waited = [];
  const task = async () => {
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  assert.equal(await patiently(task, { ...quick, onWait: (error) => waited.push(error.name) }), "yes");
  assert.deepEqual(waited, ["Unreachable", "Refusal"]);
});

test("an abort ends the wait for an answer that never comes", async () => {
  const heard = new AbortController();
  const waiting = patiently(() => new Promise(() => {}), { ...quick, signal: heard.signal });
  heard.abort("seen");
  await assert.rejects(waiting, (reason) => reason === "seen");
});

test("attempts are bounded where asked", async () => {
  let tries = 0;
  const task = async () => {
    tries += 1;
    throw new Unreachable();
  };
  await assert.rejects(patiently(task, { ...quick, attempts: 3 }), Unreachable);
  assert.equal(tries, 3);
});
