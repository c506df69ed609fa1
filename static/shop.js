// The page of one sale: connects what is known (store, draft, notices) with what is done and
// what is shown. Everything visible follows from `stepOf`; nothing here remembers a step.

import * as api from "./api.js";
import { CardField } from "./card.js";
import { introduce } from "./chrome.js";
import { everySecond } from "./clock.js";
import { Draft, browserStorage } from "./draft.js";
import { Holding } from "./holding.js";
import { Notices } from "./notices.js";
import { Paying } from "./paying.js";
import { Room } from "./room.js";
import { Stage } from "./stage.js";
import { stepOf } from "./steps.js";
import { createStore } from "./store.js";

class Shop {
  constructor({ sale, session, customer, stage }) {
    this.slug = sale.slug;
    this.connection = "connecting";
    this.retrying = null;
    this.queued = false;
    this.bankAsked = false;
    this.store = createStore();
    this.draft = new Draft(browserStorage(), sale.slug);
    this.notices = new Notices(() => this.render());
    this.card = new CardField(session, () => this.cardChanged());
    const parts = { api, store: this.store, draft: this.draft, notices: this.notices, slug: sale.slug };
    this.holding = new Holding(parts);
    this.paying = new Paying({ ...parts, card: this.card, holding: this.holding });
    this.store.send({ type: "sale", sale });
    this.forgetStranger(customer);
    this.stage = new Stage(stage);
    this.listen();
    this.stage.pay.fill(this.draft.buyer);
    session.then(({ sandbox }) => {
      if (sandbox) this.stage.pay.sandbox();
      // Loaded while tickets are chosen, the card field is there when it is wanted.
      this.card.stripe().catch(() => {});
    });
  }

  /** A draft of another customer (the cookie changed) is of no use to this one. */
  forgetStranger(customer) {
    const owner = this.draft.read()?.customer;
    if (owner && owner !== customer) this.draft.clear();
  }

  listen() {
    const { choose, pay, outcome } = this.stage;
    choose.addEventListener("choose", ({ detail }) => this.reserve(detail));
    choose.addEventListener("chosen", () => this.render());
    pay.addEventListener("pay", ({ detail }) => this.submit(detail));
    pay.addEventListener("pay-elsewhere", ({ detail }) => this.submit(detail, { hosted: true }));
    pay.addEventListener("change-choice", () => this.change());
    pay.addEventListener("cardfocus", () => this.card.focus());
    outcome.addEventListener("again", () => this.again());
    outcome.addEventListener("restart", () => this.restart());
    outcome.addEventListener("confirm", () => this.confirm());
    outcome.addEventListener("instead", () => this.paying.giveUp(this.step().order));
    this.draft.subscribe(() => this.changed());
    this.store.subscribe((state, message) => this.heard(message));
    everySecond(() => this.render());
    new Room({
      sales: [this.slug],
      onMessage: (message) => this.store.send(message),
      onState: (state) => {
        this.connection = state;
        this.render();
      },
    }).start();
  }

  get sale() {
    return this.store.state.sales[this.slug];
  }

  step() {
    return stepOf({
      state: this.store.state,
      slug: this.slug,
      draft: this.draft.read(),
      dismissed: this.draft.dismissed,
      retrying: this.retrying,
      now: Date.now(),
    });
  }

  // What happens

  heard(message) {
    if (message.type === "welcome" || message.type === "stock") this.holding.reconcile();
    if (message.type === "welcome") this.paying.resume();
    if (message.type === "welcome") this.followLink();
    if (message.type === "welcome") this.comeBack();
    const { order } = this.step();
    if (order && !this.draft.read()) this.follow(order);
    if (order?.state === "requires_action") this.paying.confirm(order, { byItself: true });
    if (order && this.paying.wantsAnotherCard(order)) this.again();
    this.render();
  }

  /** "My tickets" leads to one order by the address; once shown, the address is plain again. */
  followLink() {
    const order = this.store.state.orders[location.hash.slice(1)];
    if (!order || order.sale !== this.slug) return;
    history.replaceState(null, "", location.pathname);
    const unanswered = ["holding", "paying"].includes(this.draft.read()?.phase);
    if (!unanswered) this.follow(order);
  }

  /** Back from Stripe's page, with the order in the address; once seen, the address is plain again. */
  comeBack() {
    const back = new URLSearchParams(location.search);
    const order = this.store.state.orders[back.get("order")];
    if (!back.has("checkout")) return;
    history.replaceState(null, "", location.pathname);
    if (!order || order.sale !== this.slug) return;
    this.follow(order);
    if (back.get("checkout") === "done" && order.action?.url) this.paying.returned(order);
  }

  /** An order that this browser had forgotten: shown to its end, like one of our own. */
  follow({ id, hold, items, amount, currency, version }) {
    const { customer } = this.store.state;
    const sentAt = Date.now();
    const order = { customer, phase: "sent", order: id, sentAt, version };
    this.draft.write({ ...order, hold, items, amount, currency });
  }

  /** The draft changed, here or in another tab. */
  changed() {
    if (this.queued) return;
    this.queued = true;
    queueMicrotask(() => {
      this.queued = false;
      if (this.notices.waiting === "elsewhere") this.notices.set({ waiting: null });
      if (this.notices.busy === null) this.paying.resume();
      this.render();
    });
  }

  async reserve(items) {
    if (this.notices.busy || !this.store.state.welcomed || !this.stage.choose.buyable) return;
    await this.holding.reserve(items);
    this.render();
  }

  change() {
    const { hold, retry } = this.step();
    this.notices.set({ alert: null, fields: {} });
    this.retrying = null;
    if (!retry) {
      this.stage.choose.items = hold.items;
      this.holding.release(hold.hold);
    }
    this.render();
  }

  async submit(buyer, { hosted = false } = {}) {
    const { name, hold, retry } = this.step();
    if (name !== "pay" || hold.renews || this.notices.busy) return;
    await this.paying.pay({ hold, retry, hosted, ...buyer });
    if (this.notices.fields.card) this.card.focus();
  }

  again() {
    const { order } = this.step();
    this.card.clear();
    this.notices.set({ alert: null, fields: {} });
    this.retrying = { order: order.id, version: order.version };
    this.render();
  }

  restart() {
    const step = this.step();
    const id = step.order?.id ?? step.id;
    if (step.order) this.stage.choose.items = step.order.state === "paid" ? [] : step.order.items;
    this.draft.dismiss(id);
    this.draft.clear();
    this.card.clear();
    this.notices.set({ alert: null, fields: {} });
    this.render();
  }

  confirm() {
    this.notices.set({ alert: null });
    this.paying.confirm(this.step().order);
  }

  cardChanged() {
    if (this.notices.fields.card) this.notices.set({ fields: { ...this.notices.fields, card: "" } });
    else this.render();
  }

  /** Puts the card field in, once; after a failure when the network is back. */
  async mountCard() {
    if (this.mounting) return;
    this.mounting = true;
    const { pay } = this.stage;
    try {
      await this.card.mount(pay.cardFrame);
      pay.cardReady = true;
    } catch {
      pay.cardReady = false;
      globalThis.addEventListener("online", () => {
        this.mounting = false;
        this.render();
      }, { once: true });
    }
  }

  // What is shown

  render() {
    const step = this.step();
    const now = Date.now();
    if (step.name === "pay") {
      if (this.elapsed(step, now)) return;
      this.mountCard();
    }
    this.stage.show({
      ...{ step, now },
      ...{ sale: this.sale, state: this.store.state, draft: this.draft.read() },
      ...{ notices: this.notices, connection: this.connection, cardError: this.card.error },
    });
    const bankAsks = this.notices.bank?.phase === "open";
    if (this.bankAsked && !bankAsks) this.stage.regainFocus();
    this.bankAsked = bankAsks;
  }

  /** The hold ran out while the buyer was thinking; a payment under way is the server's. */
  elapsed({ hold, retry }, now) {
    const over = !retry && !hold.renews && hold.deadline <= now;
    if (!over || this.notices.busy === "sending") return false;
    this.stage.choose.items = hold.items;
    this.holding.expire(hold.hold);
    return true;
  }
}

/** Opens the page of `sale` in `stage`. */
export function openShop({ sale, session, customer, stage }) {
  introduce(sale.name);
  new Shop({ sale, session, customer, stage }).render();
}
