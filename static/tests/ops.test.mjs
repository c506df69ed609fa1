// The operators' page, as far as it needs no browser: its connection, its figures, and what may be done to a sale.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal, Unreachable } from "../api.js";
import { bytes, count, figure, span } from "../ops/format.js";
import { Live } from "../ops/live.js";
import { reason } from "../ops/login.js";
import { sentence } from "../ops/confirm.js";
import { controls } from "../ops/panels/sales.js";
import { text } from "../ops/words.js";

class Socket {
  static all = [];
  readyState = 1;
  sent = [];
  constructor(url) {
    this.url = url;
    Socket.all.push(this);
  }
  send(message) {
    this.sent.push(message);
  }
  close() {
    this.readyState = 3;
  }
  say(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

function connect() {
  Socket.all = [];
  const heard = [];
  let now = 1_000_000;
  const live = new Live({
    host: { protocol: "https:", host: "shop.example" },
    WebSocket: Socket,
    random: () => 0.5,
    now: () => now,
    onWelcome: (message) => heard.push(["welcome", message.history.length]),
    onOverview: (message) => heard.push(["overview", message.at]),
    onLost: ({ retryAt, attempt }) => heard.push(["lost", retryAt - now, attempt]),
    onEnd: (why) => heard.push(["end", why]),
  });
  live.start();
  return { live, heard, last: () => Socket.all.at(-1), pass: (ms) => (now += ms) };
}

test("what the shop says is heard, and nothing of a connection that is gone", () => {
  const { live, heard, last } = connect();
  const first = last();
  assert.equal(first.url, "wss://shop.example/ops/live");
  first.say({ type: "welcome", history: [1, 2] });
  first.say({ type: "overview", at: "now" });
  first.onmessage({ data: "no json" });
  first.onclose({ code: 1006 });
  first.say({ type: "overview", at: "late" });
  assert.deepEqual(heard, [["welcome", 2], ["overview", "now"], ["lost", 375, 1]]);
  live.stop();
});

test("a session that has ended is not tried again, whichever word brings it", () => {
  for (const end of [(socket) => socket.say({ type: "end", why: "session_ended" }), (socket) => socket.onclose({ code: 1008, reason: "session_ended" })]) {
    const { heard, last } = connect();
    end(last());
    assert.deepEqual(heard, [["end", "session_ended"]]);
    assert.equal(last().readyState, 3);
  }
  const { live, heard, last } = connect();
  last().onclose({ code: 1008, reason: "too many or too large messages" });
  assert.equal(heard[0][0], "lost", "that may have been a mistake");
  live.stop();
});

test("a server that goes down says when to come again", () => {
  const { live, heard, last } = connect();
  last().say({ type: "reconnect", retry_in_ms: 2_000 });
  last().onclose({ code: 1012 });
  assert.deepEqual(heard, [["lost", 2_500, 1]]);
  live.stop();
});

test("that somebody is here is said once a minute at most", () => {
  const { live, last, pass } = connect();
  for (let i = 0; i < 10; i += 1) live.active();
  pass(61_000);
  live.active();
  assert.deepEqual(last().sent, ['{"type":"active"}', '{"type":"active"}']);
  live.stop();
});

test("figures are short, and what is not known is a dash", () => {
  assert.deepEqual([count(12345), count(null), figure(0.25), figure(99.94), figure(1234.5), figure(undefined)], ["12,345", "–", "0.3", "99.9", "1,235", "–"]);
  assert.deepEqual([0, 400, 12_000, 400_000, 360_000, 11_100_000, null].map(span), ["0.0 s", "0.4 s", "12 s", "6 min 40 s", "6 min", "3 h 5 min", "–"]);
  assert.deepEqual([bytes(5_400_000), bytes(230_000_000)], ["5.4 MB", "230 MB"]);
});

test("every control and every state of a sale has its words", () => {
  for (const [status, offered] of Object.entries(controls)) {
    assert.equal(text.sales.status[status].length, 2, status);
    for (const what of offered) assert.ok(text.sales[what] && text.confirm[what]("x").go, what);
  }
  assert.deepEqual(Object.keys(text.confirm.review), Object.keys(text.reviews.decide));
  assert.deepEqual(Object.keys(controls).sort(), Object.keys(text.sales.status).sort());
});

test("a refusal is told as what it is, and silence as not knowing", () => {
  const refusal = (code, more = {}) => new Refusal({ status: 409, code, detail: "They say so.", ...more });
  assert.equal(sentence(refusal("not_allowed")), text.confirm.not_allowed);
  assert.equal(sentence(refusal("too_much")), "They say so.");
  assert.equal(sentence(new Unreachable()), text.confirm.unreachable);
  assert.equal(reason(refusal("bad_login")), text.login.bad_login);
  assert.equal(reason(refusal("slow_down", { retryAfterMs: 29_100 })), text.login.slow_down(30));
});
