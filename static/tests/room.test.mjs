import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Room } from "../room.js";

/** A room whose connections are made, fed and cut by hand, under a clock that is turned by hand. */
function world(options = {}) {
  mock.timers.enable({ apis: ["setTimeout"] });
  const w = { sockets: [], events: [], heard: [], states: [] };
  class Socket {
    readyState = 1;
    sent = [];
    constructor(url) {
      this.url = url;
      w.sockets.push(this);
    }
    send(text) {
      this.sent.push(text);
    }
    close() {
      this.closed = true;
    }
  }
  class Events {
    listeners = {};
    constructor(url) {
      this.url = url;
      w.events.push(this);
    }
    addEventListener(kind, listener) {
      this.listeners[kind] = listener;
    }
    close() {
      this.closed = true;
    }
  }
  w.room = new Room({
    sales: ["a b", "c"],
    host: { protocol: "https:", host: "shop.example" },
    WebSocket: Socket,
    EventSource: Events,
    random: () => 0,
    now: () => 5,
    onMessage: (message) => w.heard.push(message),
    onState: (state) => w.states.push(state),
    ...options,
  });
  w.say = (message) => w.sockets.at(-1).onmessage({ data: JSON.stringify(message) });
  w.cut = () => w.sockets.at(-1).onclose();
  w.pass = (ms) => mock.timers.tick(ms);
  w.room.start();
  return w;
}

const story = (name, body) => test(name, (context) => {
  context.after(() => mock.timers.reset());
  body();
});

story("a socket is opened for the sales named, and lives from its welcome on", () => {
  const w = world();
  assert.equal(w.sockets[0].url, "wss://shop.example/ws?sale=a%20b&sale=c");
  assert.deepEqual(w.states, []);
  w.say({ type: "welcome", orders: [] });
  assert.deepEqual(w.states, ["live"]);
  assert.deepEqual(w.heard, [{ type: "welcome", orders: [], asked_at: 5 }]);
});

story("a socket that breaks is opened again, later each time", () => {
  const w = world();
  w.say({ type: "welcome" });
  w.cut();
  assert.equal(w.states.at(-1), "lost");
  w.pass(249);
  assert.equal(w.sockets.length, 1);
  w.pass(1);
  assert.equal(w.sockets.length, 2);
  w.cut();
  w.pass(499);
  assert.equal(w.sockets.length, 2);
  w.pass(1);
  assert.equal(w.sockets.length, 3);
  w.say({ type: "welcome" });
  assert.equal(w.states.at(-1), "live");
});

story("a server that goes down says when to come back", () => {
  const w = world();
  w.say({ type: "welcome" });
  w.say({ type: "reconnect", retry_in_ms: 4000 });
  w.cut();
  w.pass(3999);
  assert.equal(w.sockets.length, 1);
  w.pass(1);
  assert.equal(w.sockets.length, 2);
  assert.deepEqual(w.heard.map((message) => message.type), ["welcome"]);
});

story("where sockets never work, events carry the same messages", () => {
  const w = world();
  w.cut();
  w.pass(250);
  w.cut();
  w.pass(500);
  assert.equal(w.events.length, 1);
  assert.equal(w.events[0].url, "/events?sale=a%20b&sale=c");
  w.events[0].listeners.message({ data: '{"type":"welcome"}' });
  assert.equal(w.states.at(-1), "live");
});

story("a socket that worked once is never given up for events", () => {
  const w = world();
  w.say({ type: "welcome" });
  for (let i = 0; i < 6; i += 1) {
    w.cut();
    w.pass(20_000);
  }
  assert.equal(w.events.length, 0);
  assert.equal(w.sockets.length, 7);
});

story("a connection that says nothing is given up", () => {
  const w = world();
  w.pass(12_000);
  assert.equal(w.sockets[0].closed, true);
  assert.equal(w.states.at(-1), "lost");
});

story("what an abandoned connection still says is not heard", () => {
  const w = world();
  const old = w.sockets[0];
  old.onclose();
  old.onmessage({ data: '{"type":"welcome"}' });
  assert.deepEqual(w.heard, []);
});

story("text that is no JSON is ignored", () => {
  const w = world();
  w.sockets[0].onmessage({ data: "<html>" });
  assert.deepEqual(w.heard, []);
});

story("an idle socket is kept open by pings", () => {
  const w = world();
  w.say({ type: "welcome" });
  w.pass(25_000);
  w.pass(25_000);
  assert.deepEqual(w.sockets[0].sent, ['{"type":"ping"}', '{"type":"ping"}']);
});
