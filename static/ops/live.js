// The connection to the shop: one websocket, over which the overview comes once a second. It reconnects for ever, with
// jittered exponential back-off, and as late as a server that goes down asks for; but not when the session has ended.

import { backoff } from "../retry.js";

/** Milliseconds within which a new connection must have said something, and a live one its next word. */
const silentAtMost = 15_000;
/** Milliseconds between two words that somebody is here, which keep the session from idling. */
const activeEvery = 60_000;

export class Live {
  #options;
  #socket = null;
  #attempt = 0;
  #hint = null;
  #timer = null;
  #silence = null;
  #lastActive = 0;
  #over = false;

  /**
   * `onWelcome(message)`, `onOverview(message)`, `onLost(retryAt)`, `onEnd(why)`. The rest replaces the browser's parts
   * in tests.
   */
  constructor(options) {
    this.#options = { host: globalThis.location, WebSocket: globalThis.WebSocket, random: Math.random, now: Date.now, ...options };
  }

  /** Connects, and stays connected. */
  start() {
    this.#online = () => this.#again(200 * this.#options.random());
    globalThis.addEventListener?.("online", this.#online);
    this.#open();
  }

  /** Ends for good. */
  stop() {
    this.#over = true;
    globalThis.removeEventListener?.("online", this.#online);
    this.#drop();
  }

  /** Somebody is at the page. */
  active() {
    const now = this.#options.now();
    if (now - this.#lastActive < activeEvery || this.#socket?.readyState !== 1) return;
    this.#lastActive = now;
    this.#socket.send('{"type":"active"}');
  }

  #online = () => {};

  #open() {
    this.#drop();
    if (this.#over) return;
    const { host } = this.#options;
    const socket = new this.#options.WebSocket(`${host.protocol === "https:" ? "wss:" : "ws:"}//${host.host}/ops/live`);
    this.#socket = socket;
    socket.onmessage = (event) => socket === this.#socket && this.#heard(event.data);
    socket.onclose = (event) => socket === this.#socket && this.#closed(event);
    this.#listen();
  }

  /** A connection that says nothing for long is none. */
  #listen() {
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#silence = setTimeout(() => socket === this.#socket && this.#closed({ code: 1006 }), silentAtMost);
    this.#silence.unref?.();
  }

  #heard(data) {
    this.#listen();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.type === "welcome") {
      this.#attempt = 0;
      this.#options.onWelcome(message);
    } else if (message.type === "overview") {
      this.#options.onOverview(message);
    } else if (message.type === "reconnect") {
      this.#hint = message.retry_in_ms ?? null;
    } else if (message.type === "end") {
      this.#end(message.why);
    }
  }

  #closed({ code, reason }) {
    if (code === 1008 && (reason === "session_ended" || reason === "not_allowed")) return this.#end(reason);
    this.#attempt += 1;
    const { random } = this.#options;
    const wait = this.#hint === null ? backoff(this.#attempt, random) : this.#hint * (1 + random() / 2);
    this.#hint = null;
    this.#again(wait);
  }

  #end(why) {
    this.stop();
    this.#options.onEnd(why);
  }

  #again(ms) {
    this.#drop();
    if (this.#over) return;
    this.#options.onLost({ retryAt: this.#options.now() + ms, attempt: this.#attempt });
    this.#timer = setTimeout(() => this.#open(), ms);
    this.#timer.unref?.();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    socket?.close();
  }
}
