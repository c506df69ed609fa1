// The card field, inside its frame. The number stays here; the page outside gets `change` events and tokens.

(() => {
  "use strict";
  const query = new URLSearchParams(location.search);
  const pageOrigin = query.get("origin") || location.origin;
  const payment = query.get("type") === "payment";
  const field = (id) => document.getElementById(id);
  const [number, expiry, cvc] = [field("number"), field("expiry"), field("cvc")];
  const inputs = [number, expiry, cvc];
  if (payment) document.documentElement.classList.add("payment");

  const BRANDS = [
    { brand: "amex", starts: /^3[47]/, lengths: [15], groups: [4, 6, 5], cvc: 4, mark: "AMEX" },
    { brand: "diners", starts: /^3(?:0[0-5]|[689])/, lengths: [14, 16], groups: [4, 6, 4], cvc: 3, mark: "DINERS" },
    { brand: "discover", starts: /^6(?:011|5|4[4-9])/, lengths: [16], groups: [4, 4, 4, 4], cvc: 3, mark: "DISC" },
    { brand: "jcb", starts: /^35/, lengths: [16], groups: [4, 4, 4, 4], cvc: 3, mark: "JCB" },
    { brand: "unionpay", starts: /^62/, lengths: [16, 17, 18, 19], groups: [4, 4, 4, 4, 3], cvc: 3, mark: "UP" },
    { brand: "mastercard", starts: /^(?:5[1-5]|2[2-7])/, lengths: [16], groups: [4, 4, 4, 4], cvc: 3, mark: "MC" },
    { brand: "visa", starts: /^4/, lengths: [16], groups: [4, 4, 4, 4], cvc: 3, mark: "VISA" },
  ];
  const UNKNOWN = { brand: "unknown", lengths: [16], groups: [4, 4, 4, 4], cvc: 4, mark: "" };

  const digits = (text) => text.replace(/\D/g, "");
  const brandOf = (text) => BRANDS.find(({ starts }) => starts.test(text)) ?? UNKNOWN;
  const problem = (code, message) => ({ code, type: "validation_error", message });

  function luhn(text) {
    let sum = 0;
    for (let at = 0; at < text.length; at++) {
      const digit = Number(text[text.length - 1 - at]) * (at % 2 ? 2 : 1);
      sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 === 0;
  }

  /** What is wrong with a field: a code and a sentence, or null. `left`: the buyer has moved on. */
  const checks = {
    number(text, left) {
      const { lengths } = brandOf(text);
      if (lengths.includes(text.length)) return luhn(text) ? null : problem("invalid_number", "Your card number is invalid.");
      return left && text ? problem("incomplete_number", "Your card number is incomplete.") : null;
    },
    expiry(text, left) {
      if (text.length < 4) return left && text ? problem("incomplete_expiry", "Your card's expiration date is incomplete.") : null;
      const [month, year] = [Number(text.slice(0, 2)), 2000 + Number(text.slice(2))];
      const now = new Date();
      if (month < 1 || month > 12) return problem("invalid_expiry_month", "Your card's expiration date is invalid.");
      if (year < now.getFullYear() || (year === now.getFullYear() && month < now.getMonth() + 1)) {
        return problem("invalid_expiry_year_past", "Your card's expiration year is in the past.");
      }
      return year > now.getFullYear() + 50 ? problem("invalid_expiry_year", "Your card's expiration year is invalid.") : null;
    },
    cvc(text, left) {
      const wanted = brandOf(digits(number.value)).cvc;
      const enough = text.length >= Math.min(3, wanted) && text.length <= wanted;
      return left && text && !enough ? problem("incomplete_cvc", "Your card's security code is incomplete.") : null;
    },
  };

  const complete = {
    number: (text) => brandOf(text).lengths.includes(text.length) && luhn(text),
    expiry: (text) => text.length === 4 && !checks.expiry(text, true),
    cvc: (text) => text.length >= 3 && text.length <= brandOf(digits(number.value)).cvc,
  };

  function grouped(text, groups) {
    const parts = [];
    let at = 0;
    for (const length of groups) {
      if (at >= text.length) break;
      parts.push(text.slice(at, at + length));
      at += length;
    }
    return parts.join(" ");
  }

  const formats = {
    number(text) {
      const { lengths, groups } = brandOf(text);
      return grouped(text.slice(0, Math.max(...lengths)), groups);
    },
    expiry(text, deleting) {
      // A month that can have no second digit gets its zero; a four-digit year loses its century.
      if (/^[2-9]/.test(text)) text = `0${text}`;
      if (/^\d{2}20\d{2}/.test(text)) text = text.slice(0, 2) + text.slice(4);
      text = text.slice(0, 4);
      if (text.length > 2) return `${text.slice(0, 2)} / ${text.slice(2)}`;
      return text.length === 2 && !deleting ? `${text} / ` : text;
    },
    cvc: (text) => text.slice(0, brandOf(digits(number.value)).cvc),
  };

  /** Formats a field and keeps the caret behind the digit that it was behind. */
  function format(input, deleting) {
    const before = digits(input.value.slice(0, input.selectionStart ?? input.value.length)).length;
    const atEnd = input.selectionStart === input.value.length;
    const typed = digits(input.value);
    const text = formats[input.id](typed, deleting);
    if (text === input.value) return;
    input.value = text;
    let caret = text.length;
    if (!atEnd) {
      let seen = 0;
      caret = [...text].findIndex((letter) => /\d/.test(letter) && ++seen === before) + 1;
    }
    if (document.activeElement === input) input.setSelectionRange(caret, caret);
  }

  const left = new Set();
  let lastChange = "";

  function state() {
    const text = Object.fromEntries(inputs.map((input) => [input.id, digits(input.value)]));
    const errors = Object.fromEntries(inputs.map(({ id }) => [id, checks[id](text[id], left.has(id))]));
    return {
      errors,
      change: {
        brand: brandOf(text.number).brand,
        complete: inputs.every(({ id }) => complete[id](text[id])),
        empty: inputs.every(({ id }) => text[id] === ""),
        error: errors.number ?? errors.expiry ?? errors.cvc ?? undefined,
        value: { postalCode: "" },
      },
    };
  }

  function changed() {
    const { errors, change } = state();
    for (const input of inputs) input.setAttribute("aria-invalid", String(Boolean(errors[input.id])));
    field("brand").textContent = brandOf(digits(number.value)).mark;
    const now = JSON.stringify(change);
    if (now !== lastChange) {
      lastChange = now;
      say({ type: "change", change });
    }
  }

  const say = (message) => parent.postMessage({ sandbox: 1, ...message }, pageOrigin);

  for (const [at, input] of inputs.entries()) {
    input.addEventListener("input", (event) => {
      const deleting = String(event.inputType ?? "").startsWith("delete");
      format(input, deleting);
      left.delete(input.id);
      if (input === number) format(cvc, false);
      changed();
      const text = digits(input.value);
      const next = inputs[at + 1];
      const full = input === number ? Math.max(...brandOf(text).lengths) === text.length : true;
      if (!deleting && next && full && complete[input.id](text) && input.selectionStart === input.value.length) next.focus();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Backspace" && input.value === "" && at > 0) inputs[at - 1].focus();
      if (event.key === "Escape") say({ type: "escape" });
      // Enter sends the form of the page around the frame, as in a field of its own.
      if (event.key === "Enter") say({ type: "submit" });
    });
    input.addEventListener("focus", () => say({ type: "focus" }));
    input.addEventListener("blur", () => {
      left.add(input.id);
      changed();
      // The next field takes the focus after this event: look once it has.
      setTimeout(() => {
        if (!inputs.includes(document.activeElement) || !document.hasFocus()) say({ type: "blur" });
      });
    });
  }

  field("card").addEventListener("submit", (event) => event.preventDefault());

  function apply(options) {
    const { appearance = {}, style = {}, placeholder, disabled, hideIcon } = options;
    const base = style.base ?? {};
    const root = document.documentElement;
    const set = (name, value) => typeof value === "string" && value && root.style.setProperty(name, value);
    const { variables = {}, theme } = appearance;
    root.classList.toggle("night", theme === "night");
    set("--color", variables.colorText);
    set("--ground", variables.colorBackground);
    set("--placeholder", variables.colorTextPlaceholder);
    set("--invalid", variables.colorDanger);
    set("--size", variables.fontSizeBase);
    set("--family", variables.fontFamily);
    set("--color", base.color);
    set("--placeholder", base["::placeholder"]?.color);
    set("--size", base.fontSize);
    set("--family", base.fontFamily);
    set("--weight", base.fontWeight && String(base.fontWeight));
    set("--invalid", style.invalid?.color);
    root.classList.toggle("hide-icon", Boolean(hideIcon));
    if (typeof placeholder === "string") number.placeholder = placeholder;
    for (const input of inputs) input.disabled = Boolean(disabled);
  }

  function clear() {
    for (const input of inputs) input.value = "";
    left.clear();
    changed();
  }

  /** The card for the API, or what is missing. */
  function card() {
    for (const input of inputs) left.add(input.id);
    changed();
    const { change } = state();
    if (change.error) return { error: change.error };
    if (change.empty || !change.complete) return { error: problem("incomplete_number", "Your card number is incomplete.") };
    const date = digits(expiry.value);
    return { card: { number: digits(number.value), exp_month: date.slice(0, 2), exp_year: `20${date.slice(2)}`, cvc: digits(cvc.value) } };
  }

  function encode(value, name = "", form = new URLSearchParams()) {
    if (value === undefined || value === null) return form;
    if (typeof value === "object") {
      for (const [key, inner] of Object.entries(value)) encode(inner, name ? `${name}[${key}]` : key, form);
    } else {
      form.append(name, String(value));
    }
    return form;
  }

  const PATHS = ["/tokens", "/payment_methods", "/confirmation_tokens"];

  /** Makes a token of the card; an empty path only asks whether the fields are complete. */
  async function make({ key, path, params }) {
    const { card: typed, error } = card();
    if (error) return { error };
    if (path === "") return {};
    if (!PATHS.includes(path)) return { error: problem("invalid", "The card field does not make this.") };
    const whole = path === "/confirmation_tokens"
      ? { ...params, payment_method_data: { ...params.payment_method_data, card: typed } }
      : { ...params, card: { ...params.card, ...typed } };
    try {
      const response = await fetch(`/v1${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/x-www-form-urlencoded" },
        body: encode(whole),
      });
      return await response.json();
    } catch {
      return { error: { type: "api_connection_error", code: null, message: "We are experiencing issues connecting to our payments provider. Please check your connection and try again." } };
    }
  }

  addEventListener("message", async (event) => {
    if (event.source !== parent || event.origin !== pageOrigin || event.data?.sandbox !== 1) return;
    const message = event.data;
    if (message.type === "options") apply(message.options ?? {});
    else if (message.type === "clear") clear();
    else if (message.type === "focus") (inputs.find((input) => !complete[input.id](digits(input.value))) ?? number).focus();
    else if (message.type === "blur") document.activeElement?.blur?.();
    else if (message.type === "ask") say({ type: "answer", id: message.id, answer: await make(message) });
  });

  new ResizeObserver(() => say({ type: "height", height: field("card").getBoundingClientRect().height })).observe(field("card"));
  say({ type: "ready" });
})();
