// The card field. It lives in a frame of Stripe's; this page gets a token and never a number.

import { text } from "./messages.js";

/** The card, or the field for it, has a problem that the buyer can see and mend. */
export class CardProblem extends Error {}

const loading = new Map();

function loadScript(url) {
  if (!loading.has(url)) {
    const script = document.createElement("script");
    script.src = url;
    script.async = true;
    const loaded = new Promise((resolve, reject) => {
      script.onload = resolve;
      script.onerror = reject;
    });
    // A failure is not kept: the next caller tries again.
    loading.set(url, loaded.catch((error) => {
      loading.delete(url);
      throw error;
    }));
    document.head.append(script);
  }
  return loading.get(url);
}

/** The colours of the page, for the inside of Stripe's frame. */
function styleFromTokens() {
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return {
    base: {
      color: token("--ink"),
      iconColor: token("--ink-soft"),
      fontFamily: "system-ui, sans-serif",
      fontSize: "16px",
      fontSmoothing: "antialiased",
      "::placeholder": { color: token("--ink-soft") },
    },
    invalid: { color: token("--bad"), iconColor: token("--bad") },
  };
}

/** One card field of the page; mounted once, so that its frame survives every re-render. */
export class CardField {
  #session;
  #stripe = null;
  #card = null;
  #state = { complete: false, error: "" };

  /** `session` resolves to what `GET /api/session` said; `onChange()` after each key. */
  constructor(session, onChange) {
    this.#session = session;
    this.onChange = onChange;
  }

  /** What the field says about itself: `""` or a sentence from Stripe. */
  get error() {
    return this.#state.error;
  }

  /** Loads Stripe.js, once. */
  async stripe() {
    if (!this.#stripe) {
      const { stripe } = await this.#session;
      await loadScript(stripe.js);
      this.#stripe ??= globalThis.Stripe(stripe.publishable_key);
    }
    return this.#stripe;
  }

  /** Puts the field into `container`. */
  async mount(container) {
    if (this.#card) return;
    const stripe = await this.stripe();
    if (this.#card) return;
    const card = stripe.elements().create("card", {
      style: styleFromTokens(),
      hidePostalCode: true,
    });
    this.#card = card;
    card.on?.("change", (event) => {
      this.#state = { complete: event.complete, error: event.error?.message ?? "" };
      this.onChange();
    });
    card.on?.("focus", () => container.classList.add("focused"));
    card.on?.("blur", () => container.classList.remove("focused"));
    card.mount(container);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      card.update?.({ style: styleFromTokens() });
    });
  }

  /** Moves the caret into the field; only ever because the buyer asked. */
  focus() {
    this.#card?.focus?.();
  }

  /** Empties the field, for another card. */
  clear() {
    this.#card?.clear?.();
    this.#state = { complete: false, error: "" };
  }

  /** Turns what was typed into a payment token (`pm_…`). */
  async tokenise({ name, email }) {
    if (!this.#card) throw new CardProblem(text.pay.card_failed);
    let answer;
    try {
      answer = await this.#stripe.createPaymentMethod({
        type: "card",
        card: this.#card,
        billing_details: { name, email },
      });
    } catch {
      throw new CardProblem(text.pay.card_refused);
    }
    if (answer.error) throw new CardProblem(answer.error.message || text.pay.card_refused);
    return answer.paymentMethod.id;
  }

  /** Lets the bank ask its question (3-D Secure); resolves to true when it was answered. */
  async confirm(clientSecret) {
    const stripe = await this.stripe();
    const { error } = await stripe.handleNextAction({ clientSecret });
    return !error;
  }
}
