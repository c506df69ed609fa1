// What this browser remembers of a purchase, so that a reload or a second tab comes back to
// it: written before anything is sent that depends on it. Never the card; a payment token
// stays only until the server has answered, for the case that its answer was lost.
//
//   {customer, phase, hold, items, amount, currency, deadline, epoch, confirmedAt,
//    renews, order, token, version, sentAt, name, email}
//
// `phase` is one of
//   holding   a hold was asked for (with `renews`, to replace one); the answer is not known
//   held      the server confirmed the hold
//   paying    an order was sent (or is about to be); the answer is not known
//   sent      the server has the order; what it says about it counts from here on

/**
 * A UUID of the time and the browser's own randomness (RFC 9562, version 7). Orders that are made
 * in the same moment then lie side by side in the ledger's indexes, which costs it far less than
 * when each lies somewhere else.
 */
export function uuid(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 5, rest = now; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** `localStorage`, or memory where the browser forbids it. */
export function browserStorage() {
  try {
    const probe = "stampede.probe";
    localStorage.setItem(probe, "1");
    localStorage.removeItem(probe);
    return localStorage;
  } catch {
    const memory = new Map();
    return {
      getItem: (key) => memory.get(key) ?? null,
      setItem: (key, value) => memory.set(key, value),
      removeItem: (key) => memory.delete(key),
    };
  }
}

/** The purchase of one sale, shared by all tabs of this browser. */
export class Draft {
  #storage;
  #key;
  #buyerKey = "stampede.buyer";
  #dismissedKey = "stampede.dismissed";
  #listeners = new Set();

  constructor(storage, slug) {
    this.#storage = storage;
    this.#key = `stampede.purchase.${slug}`;
    // Fires in the *other* tabs of this browser.
    globalThis.addEventListener?.("storage", (event) => {
      if (event.key?.startsWith("stampede.") || event.key === null) this.#tell();
    });
  }

  #read(key) {
    try {
      return JSON.parse(this.#storage.getItem(key));
    } catch {
      return null;
    }
  }

  #tell() {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls `listener()` whenever the draft changed, here or in another tab. */
  subscribe(listener) {
    this.#listeners.add(listener);
  }

  /** The draft, or null. */
  read() {
    return this.#read(this.#key);
  }

  /** Replaces the draft. */
  write(draft) {
    this.#storage.setItem(this.#key, JSON.stringify(draft));
    this.#tell();
  }

  /** Changes some fields of the draft. */
  patch(fields) {
    this.write({ ...this.read(), ...fields });
  }

  /** Forgets the draft. */
  clear() {
    this.#storage.removeItem(this.#key);
    this.#tell();
  }

  /** The buyer's name and mail as last typed, for the next purchase too. */
  get buyer() {
    return this.#read(this.#buyerKey) ?? { name: "", email: "" };
  }

  set buyer({ name, email }) {
    this.#storage.setItem(this.#buyerKey, JSON.stringify({ name, email }));
  }

  /** Ids of holds and orders that the buyer has left behind. */
  get dismissed() {
    return new Set(this.#read(this.#dismissedKey) ?? []);
  }

  /** Leaves a hold or an order behind; the last hundred are remembered. */
  dismiss(id) {
    const ids = [...this.dismissed, id].slice(-100);
    this.#storage.setItem(this.#dismissedKey, JSON.stringify(ids));
    this.#tell();
  }
}

/**
 * Runs `work` alone among all tabs of this browser. With `wait: false`, answers false at once
 * when another tab (or this one) is at it already.
 */
export function onlyHere(name, work, { wait = false } = {}) {
  const locks = globalThis.navigator?.locks;
  if (!locks) return soloInThisTab(name, work, wait);
  return locks.request(name, { ifAvailable: !wait }, async (lock) => {
    if (!lock) return false;
    await work();
    return true;
  });
}

const running = new Map();

async function soloInThisTab(name, work, wait) {
  if (running.has(name) && !wait) return false;
  const turn = (running.get(name) ?? Promise.resolve()).catch(() => {}).then(work);
  running.set(name, turn);
  try {
    await turn;
  } finally {
    if (running.get(name) === turn) running.delete(name);
  }
  return true;
}
