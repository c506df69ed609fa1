// A number with a button on each side: `<quantity-field>`. Tells `quantity` when it changes.

import { el, setAttribute } from "../dom.js";
import { text } from "../messages.js";

class QuantityField extends HTMLElement {
  #input;
  #fewer;
  #more;

  /** Builds the parts; `tier` gives the name that assistive technology reads. */
  build(tier) {
    const id = `quantity-${tier.id}`;
    this.#input = el("input", {
      id,
      type: "number",
      inputmode: "numeric",
      min: 0,
      step: 1,
      value: 0,
      autocomplete: "off",
      "aria-describedby": `standing-${tier.id} problem-${tier.id}`,
      "data-testid": `tier-${tier.id}-quantity`,
      oninput: () => this.#tell(),
      onblur: () => {
        this.#input.value = this.value;
      },
      onfocus: () => this.#input.select(),
    });
    const step = (by, label, sign) =>
      el("button", {
        type: "button",
        class: "step",
        "aria-label": label(tier.name),
        text: sign,
        onclick: () => this.#by(by),
      });
    this.#fewer = step(-1, text.choose.fewer, "−");
    this.#more = step(1, text.choose.more, "+");
    this.append(
      el("label", { class: "unseen", for: id, text: text.choose.quantity(tier.name) }),
      this.#fewer,
      this.#input,
      this.#more,
    );
    return this;
  }

  /** The whole number that was typed; anything else counts as none. */
  get value() {
    const typed = Number(this.#input.value);
    return Number.isSafeInteger(typed) && typed > 0 ? typed : 0;
  }

  set value(quantity) {
    if (this.value === quantity) return;
    this.#input.value = quantity;
    this.update(this.#most);
  }

  #most = 0;

  /** The highest quantity to offer. What the buyer typed is never changed behind their back. */
  update(most) {
    this.#most = most;
    setAttribute(this.#input, "max", most);
    this.#fewer.disabled = this.value <= 0;
    this.#more.disabled = this.value >= most;
  }

  /** Marks the number as wrong, or right again. */
  set invalid(wrong) {
    setAttribute(this.#input, "aria-invalid", wrong ? "true" : null);
  }

  focus() {
    this.#input.focus();
  }

  #by(step) {
    const value = Math.max(0, this.value + step);
    // Disabling the button that has the focus would drop the focus to the page's top.
    const atEnd = (step < 0 && value === 0) || (step > 0 && value >= this.#most);
    this.#input.value = value;
    if (atEnd) this.#input.focus();
    this.#tell();
  }

  #tell() {
    this.update(this.#most);
    this.dispatchEvent(new CustomEvent("quantity", { bubbles: true }));
  }
}

customElements.define("quantity-field", QuantityField);
