// The sandbox's stand-in for https://js.stripe.com: the same surface, as far as a shop with cards needs it.
//
// A card number never reaches the page that loads this file. It is typed into a frame of the sandbox's own origin, and
// what comes out of that frame is a token. Page and frame talk by postMessage, and each checks who is speaking: the page
// takes messages only from the frame's window and the sandbox's origin, and the frame only from its parent, at the origin
// that it was opened for. (The real one must be loaded from Stripe, never from a copy.)

(() => {
  "use strict";
  const home = new URL(document.currentScript?.src || "/v3/", location.href).origin;
  const API = `${home}/v1`;

  const fail = (message, code = null, type = "invalid_request_error") => ({ error: { type, code, message } });

  /** `{a: {b: 1}, c: [2]}` as `a[b]=1&c[0]=2`. */
  function encode(value, name = "", form = new URLSearchParams()) {
    if (value === undefined || value === null) return form;
    if (typeof value === "object") {
      for (const [key, inner] of Object.entries(value)) encode(inner, name ? `${name}[${key}]` : key, form);
    } else {
      form.append(name, String(value));
    }
    return form;
  }

  /** A call with the publishable key; answers the object, or `{error}`, and never throws. */
  async function call(key, method, path, params = {}) {
    const form = encode(params).toString();
    const query = method === "GET" && form ? `?${form}` : "";
    try {
      const response = await fetch(`${API}${path}${query}`, {
        method,
        headers: { authorization: `Bearer ${key}`, "content-type": "application/x-www-form-urlencoded" },
        body: method === "GET" ? undefined : form,
      });
      return await response.json();
    } catch {
      return fail("We are experiencing issues connecting to our payments provider. Please check your connection and try again.", null, "api_connection_error");
    }
  }

  /** Listeners by the name of their event. */
  class Emitter {
    #listeners = new Map();

    on(name, listener) {
      if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
      this.#listeners.get(name).add(listener);
      return this;
    }

    once(name, listener) {
      const first = (event) => {
        this.off(name, first);
        listener(event);
      };
      return this.on(name, first);
    }

    off(name, listener) {
      if (listener) this.#listeners.get(name)?.delete(listener);
      else this.#listeners.delete(name);
      return this;
    }

    emit(name, event) {
      for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(event);
    }
  }

  let frames = 0;

  /** A card field: a frame, and the messages to and from it. */
  class CardElement extends Emitter {
    #key;
    #type;
    #options;
    #frame = null;
    #ready = null;
    #asked = new Map();
    #receive = (event) => this.#hear(event);
    #destroyed = false;

    constructor(key, type, options) {
      super();
      this.#key = key;
      this.#type = type;
      this.#options = { ...options };
    }

    get _type() {
      return this.#type;
    }

    mount(target) {
      if (this.#destroyed) throw new Error("This Element has been destroyed. Please create a new one.");
      const container = typeof target === "string" ? document.querySelector(target) : target;
      if (!container) throw new Error(`The selector you specified (${target}) applies to no DOM elements that are currently on the page.`);
      this.unmount();
      const frame = document.createElement("iframe");
      const name = `stripe-card-${++frames}`;
      frame.name = name;
      frame.title = this.#options.title || "Secure card payment input frame";
      frame.allow = "payment";
      frame.setAttribute("scrolling", "no");
      // A frame of another colour scheme than its document would be painted white, whatever its style says.
      frame.style.cssText = "border:0;display:block;width:100%;height:24px;background:transparent;color-scheme:light only";
      const query = new URLSearchParams({ origin: location.origin, type: this.#type });
      frame.src = `${home}/_sandbox/elements/card?${query}`;
      this.#ready = new Promise((resolve) => this.once("ready", resolve));
      this.#frame = frame;
      addEventListener("message", this.#receive);
      container.replaceChildren(frame);
    }

    unmount() {
      removeEventListener("message", this.#receive);
      this.#frame?.remove();
      this.#frame = null;
      for (const { resolve } of this.#asked.values()) resolve(fail("The Element was removed before it answered."));
      this.#asked.clear();
    }

    destroy() {
      this.unmount();
      this.#destroyed = true;
    }

    update(options = {}) {
      this.#options = { ...this.#options, ...options };
      this.#say({ type: "options", options: this.#plain() });
    }

    clear() {
      this.#say({ type: "clear" });
    }

    focus() {
      this.#frame?.focus();
      this.#say({ type: "focus" });
    }

    blur() {
      this.#say({ type: "blur" });
    }

    /** Asks the frame to make something of the card; resolves to the API's answer. */
    async _ask(path, params) {
      if (!this.#frame) {
        return fail("We could not retrieve data from the specified Element. Please make sure the Element you are attempting to use is still mounted.");
      }
      await this.#ready;
      const id = crypto.randomUUID?.() ?? String(Math.random());
      const answer = new Promise((resolve) => this.#asked.set(id, { resolve }));
      this.#say({ type: "ask", id, key: this.#key, path, params: JSON.parse(JSON.stringify(params ?? {})) });
      return answer;
    }

    /** What of the options the frame understands; functions do not cross. */
    #plain() {
      const { appearance, style, placeholder, disabled, hideIcon } = this.#options;
      return JSON.parse(JSON.stringify({ appearance, style, placeholder, disabled, hideIcon }));
    }

    #say(message) {
      this.#frame?.contentWindow?.postMessage({ sandbox: 1, ...message }, home);
    }

    #hear(event) {
      if (event.origin !== home || event.source !== this.#frame?.contentWindow || event.data?.sandbox !== 1) return;
      const message = event.data;
      if (message.type === "ready") {
        this.#say({ type: "options", options: this.#plain() });
        this.emit("ready", { elementType: this.#type });
      } else if (message.type === "change") {
        this.emit("change", { elementType: this.#type, ...message.change });
      } else if (message.type === "height") {
        this.#frame.style.height = `${Math.min(400, Math.max(20, Number(message.height) || 0))}px`;
      } else if (message.type === "focus" || message.type === "blur" || message.type === "escape") {
        this.emit(message.type, { elementType: this.#type });
      } else if (message.type === "submit") {
        this.#frame.closest("form")?.requestSubmit();
      } else if (message.type === "answer") {
        this.#asked.get(message.id)?.resolve(message.answer);
        this.#asked.delete(message.id);
      }
    }
  }

  /** A group of Elements. */
  class Elements {
    #key;
    #options;
    #byType = new Map();

    constructor(key, options = {}) {
      this.#key = key;
      this.#options = options;
    }

    get _clientSecret() {
      return this.#options.clientSecret;
    }

    get _card() {
      return this.#byType.get("payment") ?? this.#byType.get("card");
    }

    create(type, options = {}) {
      if (!["card", "payment"].includes(type)) throw new Error(`The sandbox has no Element of type "${type}", only card and payment.`);
      const element = new CardElement(this.#key, type, { appearance: this.#options.appearance, ...options });
      this.#byType.set(type, element);
      return element;
    }

    getElement(type) {
      return this.#byType.get(typeof type === "string" ? type : "card") ?? null;
    }

    update(options = {}) {
      this.#options = { ...this.#options, ...options };
      if (options.appearance) for (const element of this.#byType.values()) element.update({ appearance: options.appearance });
    }

    async fetchUpdates() {
      return {};
    }

    /** Whether the fields are complete. */
    async submit() {
      const card = this._card;
      if (!card) return fail("elements.submit() needs a mounted Element.");
      const { error } = await card._ask("", {});
      return error ? { error } : { selectedPaymentMethod: "card" };
    }
  }

  const intentOf = (secret) => String(secret ?? "").split("_secret_")[0];
  const cardOf = (from) => (from instanceof CardElement ? from : from instanceof Elements ? from._card : null);
  const named = (name) => (answer) => (answer.error ? { error: answer.error } : { [name]: answer });

  /** Shows the bank's question over the page until it is answered; `false` when it was closed instead. */
  function challenge(url) {
    return new Promise((resolve) => {
      const before = document.activeElement;
      const dialog = document.createElement("dialog");
      dialog.setAttribute("aria-label", "Your bank asks you to confirm this payment");
      dialog.style.cssText = "padding:0;border:1px solid #8a8f9c;border-radius:12px;box-shadow:0 12px 48px #0009;width:min(420px,calc(100vw - 24px));height:min(560px,calc(100dvh - 24px));overflow:hidden;background:Canvas;color:CanvasText;color-scheme:light dark";
      const shut = document.createElement("button");
      shut.type = "button";
      shut.textContent = "Close";
      shut.style.cssText = "position:absolute;inset:8px 8px auto auto;min-width:44px;min-height:44px;padding:0 12px;border:0;background:transparent;color:inherit;font:600 15px system-ui,sans-serif;text-decoration:underline;cursor:pointer";
      const frame = document.createElement("iframe");
      frame.title = "3-D Secure challenge";
      frame.src = `${url}&origin=${encodeURIComponent(location.origin)}`;
      frame.style.cssText = "border:0;display:block;width:100%;height:100%;color-scheme:light dark";
      dialog.append(frame, shut);
      const close = (answered) => {
        removeEventListener("message", hear);
        dialog.remove();
        before?.focus?.();
        resolve(answered);
      };
      const hear = (event) => {
        if (event.origin !== home || event.source !== frame.contentWindow || event.data?.sandbox !== 1) return;
        if (event.data.type === "challenge-done") close(true);
      };
      addEventListener("message", hear);
      shut.addEventListener("click", () => close(false));
      dialog.addEventListener("cancel", () => close(false));
      document.body.append(dialog);
      dialog.showModal();
      // The keyboard begins where the buyer has something to do.
      frame.addEventListener("load", () => frame.focus(), { once: true });
    });
  }

  /** Follows what an intent asks for, and answers the intent after it. */
  async function follow(key, intent) {
    if (intent.error) return { error: intent.error };
    if (intent.status === "requires_action") {
      const action = intent.next_action;
      const url = action?.use_stripe_sdk?.stripe_js ?? action?.redirect_to_url?.url;
      if (!url || new URL(url).origin !== home) return fail("The sandbox does not know this next action.");
      await challenge(url);
      intent = await retrieve(key, intent.client_secret);
      if (intent.error) return { error: intent.error };
      if (intent.status === "requires_action") {
        return fail("We are unable to authenticate your payment method. Please choose a different payment method and try again.", "payment_intent_authentication_failure");
      }
    }
    return intent.status === "requires_payment_method" && intent.last_payment_error
      ? { error: { ...intent.last_payment_error, payment_intent: intent } }
      : { paymentIntent: intent };
  }

  const retrieve = (key, secret) => call(key, "GET", `/payment_intents/${encodeURIComponent(intentOf(secret))}`, { client_secret: secret });
  const confirm = (key, secret, params) =>
    call(key, "POST", `/payment_intents/${encodeURIComponent(intentOf(secret))}/confirm`, { client_secret: secret, use_stripe_sdk: true, ...params });

  /** What `Stripe(key)` answers. */
  class Client {
    #key;

    constructor(key) {
      this.#key = key;
    }

    elements(options) {
      return new Elements(this.#key, options);
    }

    async createToken(element, data = {}) {
      const card = cardOf(element);
      if (!card) return fail("createToken needs a card Element.");
      return named("token")(await card._ask("/tokens", { card: data }));
    }

    async createPaymentMethod(options = {}) {
      const { elements, params, type = "card", card, ...rest } = options;
      const element = cardOf(elements) ?? cardOf(card);
      if (element) {
        return named("paymentMethod")(await element._ask("/payment_methods", { type: "card", ...(params ?? rest) }));
      }
      return named("paymentMethod")(await call(this.#key, "POST", "/payment_methods", { type, card, ...rest }));
    }

    async createConfirmationToken({ elements, params = {} } = {}) {
      const element = cardOf(elements);
      if (!element) return fail("createConfirmationToken needs elements.");
      const { payment_method_data: data = {}, ...rest } = params;
      const asked = { ...rest, payment_method_data: { type: "card", ...data } };
      return named("confirmationToken")(await element._ask("/confirmation_tokens", asked));
    }

    async confirmCardPayment(clientSecret, data = {}, options = {}) {
      const { payment_method: method, ...rest } = data;
      let id = method;
      if (method && typeof method === "object") {
        const { paymentMethod, error } = await this.createPaymentMethod({ type: "card", ...method });
        if (error) return { error };
        id = paymentMethod.id;
      }
      const intent = await confirm(this.#key, clientSecret, { ...rest, payment_method: id });
      if (options.handleActions === false) return named("paymentIntent")(intent);
      return follow(this.#key, intent);
    }

    async confirmPayment({ elements, clientSecret, confirmParams = {}, redirect = "always" } = {}) {
      const secret = clientSecret ?? elements?._clientSecret;
      if (!secret) return fail("confirmPayment needs a clientSecret.");
      const { return_url: back, payment_method_data: data, ...rest } = confirmParams;
      const params = { ...rest };
      const element = cardOf(elements);
      if (element && !params.confirmation_token && !params.payment_method) {
        const { paymentMethod, error } = await this.createPaymentMethod({ elements, params: data });
        if (error) return { error };
        params.payment_method = paymentMethod.id;
      }
      const result = await follow(this.#key, await confirm(this.#key, secret, params));
      if (result.error || redirect === "if_required" || !back) return result;
      const url = new URL(back);
      url.searchParams.set("payment_intent", result.paymentIntent.id);
      url.searchParams.set("payment_intent_client_secret", secret);
      url.searchParams.set("redirect_status", result.paymentIntent.status);
      location.assign(url);
      return new Promise(() => {});
    }

    async handleNextAction({ clientSecret } = {}) {
      if (!clientSecret) return fail("handleNextAction needs a clientSecret.");
      return follow(this.#key, await retrieve(this.#key, clientSecret));
    }

    async handleCardAction(clientSecret) {
      return this.handleNextAction({ clientSecret });
    }

    async retrievePaymentIntent(clientSecret) {
      return named("paymentIntent")(await retrieve(this.#key, clientSecret));
    }

    registerAppInfo() {}
  }

  globalThis.Stripe = Object.assign(
    (key) => {
      if (typeof key !== "string" || !key.startsWith("pk_")) {
        throw new Error("Please call Stripe() with your publishable key. You used an empty string or a secret key.");
      }
      return new Client(key);
    },
    { version: "sandbox" },
  );
})();
