// The second step: who buys, and the card. Tells `pay` or `pay-elsewhere` with name and mail, `change` and `back`.
// The form stays in the document once built, so that Stripe's frame is loaded only once.

import { formField } from "./form-field.js";
import { testCards } from "./test-cards.js";
import { formatClock, formatCountdown, left } from "../clock.js";
import { el, setAttribute, setText, show } from "../dom.js";
import { locale, text } from "../messages.js";
import { formatMoney } from "../money.js";

/** Enough to catch a slip; whether the address exists only a mail can tell. */
const mailShape = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;

class SalePay extends HTMLElement {
  #heading;
  #name;
  #email;
  #card;
  #pay;
  #elsewhere;
  #held;
  #heldLabel;
  #countdown;
  #until;
  #change;
  #busy = false;
  #cardLoading;
  #frame;

  connectedCallback() {
    if (this.#heading) return;
    this.#heading = el("h2", { tabindex: -1, text: text.pay.title });
    this.#name = this.#input("name", "text", "name", text.pay.name);
    this.#email = this.#input("email", "email", "email", text.pay.email, text.pay.email_hint);
    this.#card = this.#cardSlot();
    this.#pay = el("button", { class: "primary", type: "submit", "data-testid": "pay" });
    this.#elsewhere = el("button", {
      type: "button",
      class: "secondary",
      "data-testid": "pay-elsewhere",
      text: text.pay.elsewhere,
      onclick: () => this.#tell("pay-elsewhere"),
    });
    this.append(
      el("form", { id: "pay", novalidate: true, onsubmit: (event) => this.#submit(event) },
        this.#heading,
        this.#heldStrip(),
        this.#name.node,
        this.#email.node,
        this.#card.node,
        this.#pay,
        this.#elsewhere,
        el("p", { class: "soft small promise", text: text.pay.secure }),
      ),
    );
  }

  #input(id, type, autocomplete, label, hint) {
    const control = el("input", { id, name: id, type, autocomplete, required: true, maxlength: 200, "data-testid": id });
    if (type === "email") setAttribute(control, "spellcheck", "false");
    control.addEventListener("input", () => field.setError(""));
    const field = formField({ id, label: el("label", { for: id, text: label }), hint, control });
    return field;
  }

  #cardSlot() {
    const label = el("span", { class: "label", id: "card-label", text: text.pay.card });
    label.addEventListener("click", () => this.dispatchEvent(new CustomEvent("cardfocus")));
    this.#cardLoading = el("p", { class: "soft card-loading", text: text.pay.loading });
    this.#frame = el("div", { class: "card-frame", id: "card" });
    const control = el("div", { class: "card-slot", role: "group", "aria-labelledby": "card-label", "data-testid": "card" },
      this.#cardLoading,
      this.#frame,
    );
    return formField({ id: "card-field", label, control });
  }

  #heldStrip() {
    this.#heldLabel = el("span");
    this.#countdown = el("strong", { class: "figure", role: "timer", "data-testid": "hold-countdown" });
    this.#until = el("span", { class: "soft" });
    this.#change = el("button", {
      type: "button",
      class: "quiet",
      "data-testid": "change",
      onclick: () => this.dispatchEvent(new CustomEvent("change-choice")),
    });
    this.#held = el("div", { class: "held" },
      el("p", {}, this.#heldLabel, " ", this.#countdown, " ", this.#until),
      this.#change,
    );
    return this.#held;
  }

  get heading() {
    return this.#heading;
  }

  /** The element into which Stripe's frame goes. */
  get cardFrame() {
    return this.#frame;
  }

  /** The card field is there, or could not be loaded. */
  set cardReady(ready) {
    show(this.#cardLoading, false);
    show(this.#frame, ready);
    if (!ready) this.#card.setError(text.pay.card_failed);
  }

  /** Shows the test cards. */
  sandbox() {
    if (!this.querySelector(".sandbox")) this.querySelector("form").after(testCards());
  }

  /** Puts in what is known of the buyer, unless they are typing. */
  fill({ name, email }) {
    if (!this.#name.control.value) this.#name.control.value = name;
    if (!this.#email.control.value) this.#email.control.value = email;
  }

  update({ hold, retry, fields, busy, blocked, cardError, known, now }) {
    this.#busy = busy;
    setText(this.#heading, retry ? text.pay.again : text.pay.title);
    setText(this.#pay, busy ? text.pay.going : text.pay.go(formatMoney(hold.amount, hold.currency, locale)));
    for (const button of [this.#pay, this.#elsewhere]) {
      setAttribute(button, "aria-disabled", busy || blocked ? "true" : null);
    }
    setText(this.#heldLabel, retry ? text.pay.still : text.pay.held);
    const timed = hold.deadline !== null && hold.deadline !== undefined;
    show(this.#held.firstChild, timed);
    if (timed) {
      setText(this.#countdown, formatCountdown(left(hold.deadline, now)));
      setText(this.#until, text.pay.until(formatClock(hold.deadline, locale, now)));
      this.#held.classList.toggle("urgent", left(hold.deadline, now) < 60_000);
    }
    setText(this.#change, retry ? text.pay.back : text.pay.change);
    this.#change.disabled = busy || blocked;
    this.#lock(retry ? known : null);
    if (fields.name) this.#name.setError(fields.name);
    if (fields.email) this.#email.setError(fields.email);
    this.#card.setError(fields.card ?? cardError ?? "");
  }

  /** Another try is for the same buyer: the server compares, so the fields are fixed. */
  #lock(known) {
    for (const [field, value] of [[this.#name, known?.name], [this.#email, known?.email]]) {
      if (value) field.control.value = value;
      field.control.readOnly = Boolean(value);
    }
  }

  #submit(event) {
    event.preventDefault();
    this.#tell("pay");
  }

  /** Says how the buyer wants to pay, and who they are, once that is told. */
  #tell(how) {
    if (this.#busy) return;
    const name = this.#name.control.value.trim();
    const email = this.#email.control.value.trim();
    this.#name.setError(name ? "" : text.pay.need_name);
    this.#email.setError(mailShape.test(email) ? "" : text.pay.need_email);
    const wrong = this.querySelector('input[aria-invalid="true"]') ??
      (how === "pay" ? this.querySelector('[aria-invalid="true"]') : null);
    if (wrong) wrong.focus();
    else this.dispatchEvent(new CustomEvent(how, { detail: { name, email } }));
  }
}

customElements.define("sale-pay", SalePay);
