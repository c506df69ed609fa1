// The room: one live connection over which everything arrives. A websocket; where a proxy
// blocks those, the same messages as server-sent events. It reconnects for ever, with
// jittered exponential back-off, at once when the network returns, and as late as a server
// that goes down asks for. It never polls.

import { backoff } from "./retry.js";

/** Milliseconds within which a new connection must have said `welcome`. */
const welcomeWithin = 12_000;
/** Milliseconds between pings, which keep idle proxies from closing the socket. */
const pingEvery = 25_000;
/** Websocket attempts that never got a welcome before events are tried. */
const socketsTried = 2;

/** A live connection to the customer's room. */
export class Room {
  #options;
  #connection = null;
  #attempt = 0;
  #timers = new Set();
  #hint = null;
  #socketWorked = false;
  #useEvents = false;
  #state = "connecting";

  /**
   * `sales` are slugs whose stock is wanted; `onMessage(message)`; `onState(state)` with
   * `connecting live lost`. The rest replaces the browser's parts in tests.
   */
  constructor(options) {
    this.#options = {
      sales: [],
      host: globalThis.location,
      WebSocket: globalThis.WebSocket,
      EventSource: globalThis.EventSource,
      random: Math.random,
      now: Date.now,
      ...options,
    };
  }

  /** Connects, and stays connected. */
  start() {
    globalThis.addEventListener?.("online", () => this.#again(300 * this.#options.random()));
    globalThis.addEventListener?.("offline", () => this.#became("lost"));
    globalThis.addEventListener?.("pageshow", (event) => event.persisted && this.#again(0));
    this.#open();
  }

  #became(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onState(state);
  }

  #later(ms, work) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
    // Under node a waiting timer must not keep a test alive.
    timer.unref?.();
  }

  #query() {
    const query = this.#options.sales.map((slug) => `sale=${encodeURIComponent(slug)}`).join("&");
    return query ? `?${query}` : "";
  }

  #open() {
    this.#drop();
    const connection = { askedAt: this.#options.now(), close: () => {}, send: null };
    this.#connection = connection;
    if (this.#useEvents) this.#openEvents(connection);
    else this.#openSocket(connection);
    this.#later(welcomeWithin, () => {
      if (this.#connection === connection && this.#state !== "live") this.#lost(connection);
    });
  }

  #openSocket(connection) {
    const { host } = this.#options;
    const scheme = host.protocol === "https:" ? "wss:" : "ws:";
    const socket = new this.#options.WebSocket(`${scheme}//${host.host}/ws${this.#query()}`);
    connection.close = () => socket.close();
    connection.send = (text) => socket.readyState === 1 && socket.send(text);
    socket.onmessage = (event) => this.#heard(connection, event.data);
    socket.onclose = () => this.#lost(connection);
    // An error is always followed by close.
  }

  #openEvents(connection) {
    const events = new this.#options.EventSource(`/events${this.#query()}`);
    connection.close = () => events.close();
    const hear = (event) => this.#heard(connection, event.data);
    // Events may be named after their message's type, or not.
    for (const kind of ["message", "welcome", "order", "queue", "stock", "reconnect"]) {
      events.addEventListener(kind, hear);
    }
    events.onerror = () => this.#lost(connection);
  }

  #heard(connection, text) {
    if (connection !== this.#connection) return;
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === "reconnect") {
      this.#hint = message.retry_in_ms ?? null;
      return;
    }
    if (message.type === "welcome") {
      this.#attempt = 0;
      if (!this.#useEvents) this.#socketWorked = true;
      message = { ...message, asked_at: connection.askedAt };
      this.#became("live");
      this.#ping(connection);
    }
    this.#options.onMessage(message);
  }

  #ping(connection) {
    if (!connection.send || connection.pinging) return;
    connection.pinging = true;
    const ping = () => {
      if (connection !== this.#connection) return;
      connection.send('{"type":"ping"}');
      this.#later(pingEvery, ping);
    };
    this.#later(pingEvery, ping);
  }

  #lost(connection) {
    if (connection !== this.#connection) return;
    this.#drop();
    this.#became("lost");
    this.#attempt += 1;
    // A socket that worked once works again; only one that never did may be blocked.
    if (!this.#socketWorked && this.#attempt >= socketsTried && this.#options.EventSource) {
      this.#useEvents = true;
    }
    const { random } = this.#options;
    const asked = this.#hint;
    this.#hint = null;
    this.#again(asked === null ? backoff(this.#attempt, random) : asked * (1 + random() / 2));
  }

  #again(ms) {
    this.#drop();
    this.#later(ms, () => this.#open());
  }

  /** Forgets the connection, so that nothing it still says is heard, and all timers. */
  #drop() {
    const connection = this.#connection;
    this.#connection = null;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    connection?.close();
  }
}
