// What is shown of one sale: the three steps, the form of each, the summary beside them.
// It remembers nothing of the purchase; `show` is given everything and may be called at any time.

import "./elements/order-summary.js";
import "./elements/sale-choose.js";
import "./elements/sale-order.js";
import "./elements/sale-pay.js";
import { el, setAttribute, setText, show } from "./dom.js";
import { text } from "./messages.js";
import { alertLine, isLeaving, phaseOf, statusLine } from "./notices.js";

/** Which of the three steps at the top is current: the last only when there are tickets. */
function progressOf({ name, order }) {
  if (name === "loading" || name === "choose") return 0;
  return order && ["paid", "partially_refunded", "refunded", "disputed"].includes(order.state) ? 2 : 1;
}

/** The document's side of a sale's page. */
export class Stage {
  #view;

  constructor(root) {
    this.root = root;
    this.status = document.querySelector('[role="status"]');
    this.alert = document.querySelector('[role="alert"]');
    this.choose = el("sale-choose", { hidden: true });
    this.pay = el("sale-pay", { hidden: true });
    this.outcome = el("sale-order", { hidden: true });
    this.summary = el("order-summary");
    this.go = el("button", { class: "primary", type: "submit", form: "choose", "data-testid": "continue" });
    const names = [text.steps.choose, text.steps.pay, text.steps.done];
    this.steps = el("ol", { class: "steps", "aria-label": text.steps.label, role: "list" },
      ...names.map((name) => el("li", {}, el("span", { text: name }))));
    this.aside = el("div", { class: "aside" }, this.summary, this.go);
    root.className = "shop";
    root.replaceChildren(
      this.steps,
      el("div", { class: "card-main" }, this.choose, this.pay, this.outcome),
      this.aside,
    );
  }

  /**
   * Brings everything up to date. `model` is
   * `{step, state, sale, draft, notices, connection, cardError, now}`.
   */
  show(model) {
    const { step, notices } = model;
    const view = { choose: this.choose, loading: null, pay: this.pay }[step.name];
    this.#swap(view === undefined ? this.outcome : view);
    setAttribute(this.root, "data-step", step.name);
    const current = progressOf(step);
    [...this.steps.children].forEach((item, index) => {
      setAttribute(item, "aria-current", index === current ? "step" : null);
      setAttribute(item, "data-done", index < current);
    });
    if (step.name === "choose") this.#showChoose(model);
    else if (step.name === "pay") this.#showPay(model);
    else if (step.name !== "loading") this.#showOutcome(model);
    this.#showSummary(model);
    setText(this.status, statusLine({ ...model, elsewhere: notices.busy !== "sending" }));
    setText(this.alert, alertLine(model));
    // Who waits in another tab sees the outcome there.
    const told = step.name === "order" ? text.tickets.state[step.order.state] : null;
    document.title = text.title(told ? `${told} · ${model.sale.name}` : model.sale.name);
    // A reason that the step itself shows is spoken, not printed twice.
    this.alert.classList.toggle("unseen", notices.alert === null);
  }

  /** After a window over the page was closed: what had the focus before may be gone by now. */
  regainFocus() {
    const active = document.activeElement;
    if (!active || active === document.body) this.#view?.heading.focus();
  }

  /** Changes the view. The focus is moved only if what had it goes away. */
  #swap(view) {
    if (this.#view === view) return;
    const active = document.activeElement;
    const orphaned = view && active && active !== document.body && this.root.contains(active);
    this.#view = view;
    for (const each of [this.choose, this.pay, this.outcome]) show(each, each === view);
    if (orphaned) view.heading.focus();
  }

  #showChoose({ sale, state, notices, now }) {
    this.choose.update({ sale, state, now });
    const busy = notices.busy === "holding";
    setText(this.go, busy ? text.choose.going : text.choose.go);
    const ready = state.welcomed && !busy && this.choose.buyable;
    setAttribute(this.go, "aria-disabled", ready ? null : "true");
  }

  #showPay({ step, draft, notices, cardError, now }) {
    const { hold, retry } = step;
    this.pay.update({
      hold,
      retry,
      known: retry ? draft : null,
      fields: notices.fields,
      busy: notices.busy === "sending",
      blocked: Boolean(hold.renews),
      cardError,
      now,
    });
  }

  #showOutcome({ step, sale, draft, notices, now }) {
    const order = step.order ?? null;
    this.outcome.update({
      state: step.name === "sending" ? "sending" : (order?.state ?? "missing"),
      order,
      id: step.id ?? draft?.order,
      sale,
      email: draft?.email,
      bank: phaseOf(notices.bank, order),
      leaving: isLeaving(step, draft),
      now,
    });
  }

  #showSummary({ step, sale, draft }) {
    const choosing = step.name === "choose";
    const source = step.order ?? step.hold ?? (choosing ? null : draft);
    const items = source?.items ?? this.choose.items;
    const { amount, currency } = source ?? {};
    this.summary.update({ sale, items, amount, currency });
    show(this.go, choosing);
    // With nothing to buy there is nothing to add up.
    const over = ["sold_out", "closed"].includes(this.choose.kind);
    const idle = choosing && over && items.length === 0;
    const alone = idle || step.name === "loading" || step.name === "missing";
    show(this.aside, !alone);
    setAttribute(this.root, "data-alone", alone);
  }
}
