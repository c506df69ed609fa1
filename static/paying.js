// Paying: the order's id and token are written down before they are sent, and exactly that
// pair is sent until the server answers, or until the room tells that it has the order. So a
// lost answer, a reload or a second tab ends in one order, and one charge at most. After the
// server's 202 this file sends nothing more; everything else arrives in the room.

import { Refusal } from "./api.js";
import { CardProblem } from "./card.js";
import { onlyHere, uuid } from "./draft.js";
import { text } from "./messages.js";
import { patiently, pause } from "./retry.js";
import { questionOf } from "./steps.js";

/** Why a send ended early: the room knows the order already. */
const seen = Symbol("seen in the room");

/** Milliseconds within which Stripe's own word usually has come through the room. */
const eventWithin = 3_000;

/** Refusals after which the chosen tickets are no longer ours. */
const tookTheHold = new Set(["hold_expired", "sold_out", "limit_reached"]);

/** Goes to another page; "back" comes to this one again. */
const leaveFor = (url) => location.assign(url);

/** Sends the order of one sale. */
export class Paying {
  #api;
  #store;
  #draft;
  #notices;
  #card;
  #holding;
  #slug;
  #sentHere = new Set();
  #asked = new Set();
  #asking = false;
  #givenUp = new Set();
  #pause;
  #go;

  constructor({ api, store, draft, notices, card, holding, slug, now = Date.now, wait = pause, go = leaveFor }) {
    this.now = now;
    this.#pause = wait;
    this.#go = go;
    [this.#api, this.#store, this.#draft] = [api, store, draft];
    [this.#notices, this.#card, this.#holding] = [notices, card, holding];
    this.#slug = slug;
  }

  get #lock() {
    return `stampede.${this.#slug}`;
  }

  /**
   * Pays for `hold`, with the card that is typed in, or `hosted`, on Stripe's own page; with `retry`, makes the next
   * attempt of that declined order.
   */
  async pay({ hold, retry, name, email, hosted = false }) {
    this.#draft.buyer = { name, email };
    const alone = await onlyHere(this.#lock, async () => {
      this.#notices.set({ busy: "sending", alert: null, fields: {} });
      if (!(await this.#prepare({ hold, retry, name, email, hosted }))) return;
      await this.#send();
    });
    this.#notices.set(alone ? { busy: null, waiting: null } : { waiting: "elsewhere" });
  }

  /** Writes everything down that is about to be sent; false when the card has a problem. */
  async #prepare({ hold, retry, name, email, hosted }) {
    if (this.#overtaken(hold, retry)) return false;
    let token = null;
    try {
      if (!hosted) token = await this.#card.tokenise({ name, email });
    } catch (error) {
      if (!(error instanceof CardProblem)) throw error;
      this.#notices.set({ fields: { card: error.message } });
      return false;
    }
    const known = this.#draft.read();
    const order = retry?.id ?? (known?.hold === hold.hold ? known.order : null) ?? uuid();
    const { items, amount, currency, deadline } = hold;
    const { state } = this.#store;
    this.#draft.write({
      ...{ epoch: state.epochs[this.#slug] ?? 0, confirmedAt: this.now() },
      ...(known?.hold === hold.hold ? known : {}),
      customer: state.customer,
      ...{ hold: hold.hold, items, amount, currency, deadline },
      ...{ phase: "paying", order, token, hosted, name, email },
      version: state.orders[order]?.version ?? 0,
    });
    return true;
  }

  /** Whether another tab paid, or moved on, while this one waited for its turn. */
  #overtaken(hold, retry) {
    if (retry) return this.#store.state.orders[retry.id]?.version !== retry.version;
    const known = this.#draft.read();
    return known?.hold === hold.hold && known.phase !== "held";
  }

  /** Finishes what an earlier page load, or another tab, began and did not finish. */
  async resume() {
    if (this.#unanswered() === null || !this.#store.state.welcomed) return;
    const send = async () => {
      if (this.#unanswered() === null) return;
      this.#notices.set({ busy: "sending", waiting: null });
      await this.#send();
      this.#notices.set({ busy: null, waiting: null });
    };
    // Waits while another tab is sending: when that tab is closed, it is our turn.
    await onlyHere(this.#lock, send, { wait: true });
  }

  /** The draft when the room has not told anything newer about it, else null. */
  #unanswered() {
    const draft = this.#draft.read();
    if (draft?.phase !== "paying") return null;
    const order = this.#store.state.orders[draft.order];
    if (order && order.version > draft.version) {
      this.#sent();
      return null;
    }
    return draft;
  }

  #sent() {
    this.#draft.patch({ phase: "sent", token: null, sentAt: this.now() });
  }

  async #send() {
    const draft = this.#draft.read();
    this.#sentHere.add(draft.order);
    const heard = new AbortController();
    const stop = this.#store.subscribe(() => {
      if (this.#unanswered() === null) heard.abort(seen);
    });
    try {
      const order = await patiently(() => (draft.hosted ? this.#api.checkout(draft) : this.#api.charge(draft)), {
        signal: heard.signal,
        onWait: this.#notices.waits("resending", "resending_busy"),
      });
      this.#sent();
      this.#store.send({ type: "order", order });
    } catch (error) {
      if (error !== seen) await this.#refused(error, draft);
    } finally {
      stop();
    }
  }

  async #refused(error, draft) {
    if (!(error instanceof Refusal)) throw error;
    const known = this.#store.state.orders[draft.order];
    if (error.code === "order_in_progress" || (known && tookTheHold.has(error.code))) {
      // The order exists; the room says how it stands.
      this.#sent();
      return;
    }
    if (error.code === "no_customer") return this.#reintroduce();
    if (tookTheHold.has(error.code)) {
      this.#notices.set({ alert: this.#holding.refusal(error) });
      this.#draft.clear();
      this.#draft.dismiss(draft.hold);
      if (error.code !== "hold_expired") await this.#holding.release(draft.hold, { quietly: true });
      return;
    }
    this.#backToTheForm(error, draft, known);
  }

  /** Nothing was accepted: the form is shown again, with what is wrong. */
  #backToTheForm(error, draft, known) {
    const field = ["name", "email"].includes(error.field) ? error.field : null;
    const conflict = error.code === "order_conflict" && !known;
    this.#draft.patch({
      phase: known ? "sent" : "held",
      sentAt: this.now(),
      token: null,
      order: conflict ? null : draft.order,
    });
    this.#notices.set(
      field
        ? { fields: { [field]: error.detail } }
        : { alert: this.#holding.refusal(error) },
    );
  }

  /** The cookie was lost or is not accepted any more; a new one owns no hold. */
  async #reintroduce() {
    this.#draft.clear();
    await patiently(() => this.#api.session(), { attempts: 5 }).catch(() => {});
    this.#notices.set({ alert: text.alert.no_customer });
  }

  /** Whether this tab sent the order: the one that asks the bank's question by itself. */
  sentHere(order) {
    return this.#sentHere.has(order.id);
  }

  /**
   * Lets the bank ask; by itself once per question, and only in the tab that paid. What comes back
   * is a hint: the room tells the result. When the room is silent the server is told, once, that
   * the buyer is done, and asks Stripe.
   */
  async confirm(order, { byItself = false } = {}) {
    if (order.action?.url) return this.#leave(order, byItself);
    const secret = order.action?.client_secret;
    const question = questionOf(order);
    if (!secret || this.#asking) return;
    if (byItself && (!this.sentHere(order) || this.#asked.has(question))) return;
    this.#asked.add(question);
    this.#asking = true;
    this.#notices.set({ bank: { question, phase: "open" } });
    let phase = "unreachable";
    try {
      phase = (await this.#card.confirm(secret)) ? "checking" : "unfinished";
    } catch {
      // Stripe.js could not be loaded: nothing was asked.
    }
    this.#asking = false;
    this.#notices.set({ bank: { question, phase } });
    if (phase === "unreachable" || (await this.#movesOn(question, order.id))) return;
    await patiently(() => this.#api.refresh(order.id), { attempts: 3 }).catch(() => {});
  }

  /** Leads to Stripe's own page; by itself once, and only in the tab that asked for it. */
  #leave(order, byItself) {
    const question = questionOf(order);
    if (byItself && (!this.sentHere(order) || this.#asked.has(question))) return;
    this.#asked.add(question);
    this.#go(order.action.url);
  }

  /**
   * The buyer came back from Stripe's page and was told there that they paid. That says nothing: the room does. When it
   * is silent the server is asked to look, once.
   */
  async returned(order) {
    const question = questionOf(order);
    this.#notices.set({ bank: { question, phase: "looking" } });
    if (await this.#movesOn(question, order.id)) return;
    await patiently(() => this.#api.refresh(order.id), { attempts: 3 }).catch(() => {});
    if (!(await this.#movesOn(question, order.id))) this.#notices.set({ bank: null });
  }

  /** Another card instead: the bank's question is called off first, so that only one can be charged. */
  async giveUp(order) {
    const question = questionOf(order);
    this.#givenUp.add(order.id);
    this.#notices.set({ bank: { question, phase: order.action?.url ? "ending" : "giving_up" } });
    try {
      await patiently(() => this.#api.refresh(order.id, { giveUp: true }), { attempts: 5 });
    } catch {
      this.#givenUp.delete(order.id);
      this.#notices.set({ bank: { question, phase: "kept" } });
    }
  }

  /** Whether the buyer gave a card up for this order and wants to type another; said once. */
  wantsAnotherCard(order) {
    return order.state !== "requires_action" && this.#givenUp.delete(order.id) && order.state === "declined";
  }

  /** Whether the room tells something newer than this question, soon. */
  #movesOn(question, id) {
    const moved = () => {
      const order = this.#store.state.orders[id];
      return Boolean(order) && questionOf(order) !== question;
    };
    if (moved()) return true;
    const heard = new AbortController();
    const stop = this.#store.subscribe(() => moved() && heard.abort());
    return this.#pause(eventWithin, heard.signal).then(() => {
      stop();
      return moved();
    });
  }
}
