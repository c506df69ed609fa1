// Setting tickets aside: the hold's UUID is written down before it is sent, so a lost answer,
// a reload or a second tab finds the same hold again instead of taking a second one.

import { Refusal } from "./api.js";
import { deadlineIn } from "./clock.js";
import { text } from "./messages.js";
import { patiently, pause } from "./retry.js";
import { onlyHere, uuid } from "./draft.js";

/** A hold whose answer was lost longer ago than this (ms) is not asked for again. */
const askAgainWithin = 120_000;
/** How often "not open" is asked again when our countdown was a little ahead. */
const earlyTries = 6;

export class Holding {
  #api;
  #store;
  #draft;
  #notices;
  #slug;

  constructor({ api, store, draft, notices, slug, now = Date.now }) {
    this.now = now;
    [this.#api, this.#store, this.#draft] = [api, store, draft];
    [this.#notices, this.#slug] = [notices, slug];
  }

  get #lock() {
    return `stampede.${this.#slug}`;
  }

  /**
   * Takes `items`, and shows the payment step when they are ours. With `instead`, the draft
   * whose hold is to be replaced, the payment step stays in view meanwhile.
   */
  async reserve(items, instead = null) {
    await onlyHere(this.#lock, async () => {
      // Another tab may have replaced the hold already.
      if (instead && this.#draft.read()?.hold !== instead.hold) return;
      this.#notices.set({ busy: instead ? "renewing" : "holding", alert: null, fields: {} });
      const shown = instead && {
        ...{ renews: true, amount: instead.amount, currency: instead.currency },
        deadline: instead.deadline,
      };
      this.#draft.write({
        customer: this.#store.state.customer,
        phase: "holding",
        hold: uuid(),
        items,
        askedAt: this.now(),
        order: null,
        token: null,
        version: 0,
        ...shown,
      });
      await this.#ask();
      this.#notices.set({ busy: null, waiting: null });
    });
  }

  async #ask() {
    const { hold, items, renews = false } = this.#draft.read();
    try {
      const held = await this.#takeHold(hold, items);
      this.#draft.patch({
        phase: "held",
        ...{ renews: false, renewed: renews },
        items: held.items ?? items,
        amount: held.amount,
        currency: held.currency,
        deadline: deadlineIn(held.expires_in_ms, this.now()),
        epoch: held.epoch ?? this.#store.state.epochs[this.#slug] ?? 0,
        confirmedAt: this.now(),
      });
    } catch (error) {
      this.#draft.clear();
      this.#notices.set({ alert: this.refusal(error) });
    }
  }

  async #takeHold(hold, items) {
    const says = this.#notices.waits("unanswered", "busy", this.now);
    const onWait = (error, ms) => {
      // A page that is loaded anew while it waits for its turn asks for the same hold, which has the turn.
      this.#draft.patch({ askedAt: this.now() + ms });
      says(error, ms);
    };
    for (let early = 1; ; early += 1) {
      try {
        return await patiently(() => this.#api.takeHold(hold, this.#slug, items), { onWait });
      } catch (error) {
        // Our countdown may reach zero a breath before the server's clock does.
        if (error.code !== "not_open" || early >= earlyTries) throw error;
        await pause(300 + Math.random() * 500);
      }
    }
  }

  /** What a refused hold or order means to the buyer. */
  refusal(error) {
    if (!(error instanceof Refusal)) throw error;
    const sale = this.#store.state.sales[this.#slug];
    const tier = sale?.tiers.find((candidate) => candidate.id === error.tier)?.name ?? error.tier;
    const sentence = text.alert[error.code];
    if (typeof sentence === "function") return sentence(tier);
    return sentence ?? text.alert.refused(error.detail);
  }

  /** Gives a hold back, because the buyer wants something else. */
  async release(hold, { quietly = false } = {}) {
    this.#draft.dismiss(hold);
    if (this.#draft.read()?.hold === hold) this.#draft.clear();
    if (!quietly) this.#notices.set({ alert: null, fields: {}, busy: null, waiting: null });
    // Should this fail, the hold ends by itself; the buyer need not wait for it.
    await patiently(() => this.#api.releaseHold(hold), { attempts: 5 }).catch(() => {});
  }

  /** The hold ran out while the buyer was thinking. */
  expire(hold) {
    if (this.#draft.read()?.hold === hold) this.#draft.clear();
    this.#draft.dismiss(hold);
    this.#notices.set({ alert: text.alert.hold_expired, fields: {} });
  }

  /** After a welcome or a stock message: does the server still know our hold? */
  async reconcile() {
    const { state } = this.#store;
    const draft = this.#draft.read();
    if (!draft || !state.welcomed) return;
    if (draft.customer && draft.customer !== state.customer) {
      this.#draft.clear();
      return;
    }
    if (draft.phase === "holding") await this.#askAgain(draft, state);
    else if (draft.phase === "held") await this.#check(draft, state);
  }

  async #askAgain(draft, state) {
    const known = state.holds[draft.hold];
    const stale = this.now() - draft.askedAt > askAgainWithin;
    if (known) this.#adopt(draft, known);
    else if (stale) this.#draft.clear();
    else await onlyHere(this.#lock, () => this.#askIfStillOpen(draft.hold));
  }

  async #askIfStillOpen(hold) {
    const draft = this.#draft.read();
    if (draft?.phase !== "holding" || draft.hold !== hold) return;
    this.#notices.set({ busy: "holding" });
    await this.#ask();
    this.#notices.set({ busy: null, waiting: null });
  }

  #adopt(draft, known) {
    const epoch = this.#store.state.epochs[this.#slug] ?? 0;
    const same = draft.phase === "held" && draft.epoch === epoch;
    // The server's own remaining time, told again, is worth a correction of seconds only.
    if (same && Math.abs(draft.deadline - known.deadline) < 1500) return;
    const { items, amount, currency, deadline } = known;
    const confirmedAt = draft.confirmedAt ?? this.now();
    this.#draft.patch({
      ...{ phase: "held", renews: false },
      ...{ items, amount, currency, deadline, epoch, confirmedAt },
    });
  }

  async #check(draft, state) {
    const known = state.holds[draft.hold];
    const newer = (state.epochs[this.#slug] ?? 0) > draft.epoch;
    const asked = state.askedAt > draft.confirmedAt;
    if (known && asked && this.#heardInThisEpoch(state)) this.#adopt(draft, known);
    else if (newer) await this.#renew(draft);
    else if (asked && !known) this.expire(draft.hold);
  }

  #heardInThisEpoch(state) {
    return state.welcomeEpochs[this.#slug] === state.epochs[this.#slug];
  }

  /** The stock was rebuilt and forgot unpaid holds: take a new one, and say so. */
  async #renew(draft) {
    this.#draft.dismiss(draft.hold);
    await this.reserve(draft.items, draft);
  }
}
