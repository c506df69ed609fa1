// The dialog before anything is done to the shop: what it means, why it is done, and how it ended. It stays open until
// the shop has answered, and says what it answered if that was no.

import { Refusal, Unreachable } from "../api.js";
import { el, setText } from "../dom.js";
import { text } from "./words.js";

const words = text.confirm;

/** What a refusal says to a person. */
export function sentence(error) {
  if (error instanceof Unreachable) return words.unreachable;
  if (!(error instanceof Refusal)) return words.failed;
  if (error.code === "not_allowed") return words.not_allowed;
  if (error.code === "not_found") return words.not_found;
  return error.detail ?? words.failed;
}

/**
 * Asks, and does it. `about` has `title`, `lead`, `go`; `number` is `{ label, min, max, optional, value }` if one is
 * needed; `run({ reason, number })` does it. Resolves to whether it was done.
 */
export function confirm({ about, number = null, danger = false, run }) {
  const title = el("h2", { id: "confirm-title", text: about.title });
  const error = el("p", { class: "alert", role: "alert", "data-testid": "confirm-alert" });
  const amount = number && el("input", {
    id: "confirm-number", type: "number", inputmode: "numeric", min: number.min, max: number.max, step: 1,
    required: !number.optional, value: number.value, autofocus: true, "data-testid": "confirm-number",
  });
  const reason = el("input", {
    id: "confirm-reason", type: "text", maxlength: 500, autocomplete: "off", autofocus: !number,
    "aria-describedby": "confirm-hint", "data-testid": "confirm-reason",
  });
  const go = el("button", { class: danger ? "primary danger" : "primary", type: "submit", text: about.go, "data-testid": "confirm-go" });
  const cancel = el("button", { class: "secondary", type: "button", text: words.cancel, "data-testid": "confirm-cancel" });
  const form = el("form", { novalidate: true },
    title,
    el("p", { class: "soft breaks", text: about.lead }),
    number && field(number.label, amount),
    field(words.reason, reason),
    el("p", { class: "soft small", id: "confirm-hint", text: words.reason_hint }),
    error,
    el("div", { class: "dialog-buttons" }, cancel, go),
  );
  const dialog = el("dialog", { class: "confirm", "aria-labelledby": "confirm-title", "data-testid": "confirm" }, form);
  document.body.append(dialog);

  return new Promise((resolve) => {
    let done = false;
    const busy = (is) => {
      go.disabled = is;
      setText(go, is ? words.busy : about.go);
    };
    cancel.onclick = () => dialog.close();
    dialog.onclose = () => {
      dialog.remove();
      resolve(done);
    };
    form.onsubmit = async (event) => {
      event.preventDefault();
      const asked = amount?.value.trim() ?? "";
      if (number && !fits(asked, number)) {
        setText(error, words.number);
        amount.focus();
        return;
      }
      setText(error, "");
      busy(true);
      try {
        await run({ reason: reason.value.trim() || null, number: asked === "" ? null : Number(asked) });
        done = true;
        dialog.close();
      } catch (cause) {
        setText(error, sentence(cause));
        busy(false);
      }
    };
    dialog.showModal();
  });
}

function fits(asked, { optional, min, max }) {
  if (asked === "") return Boolean(optional);
  const number = Number(asked);
  return Number.isSafeInteger(number) && number >= min && number <= max;
}

function field(label, input) {
  return el("div", { class: "field" }, el("label", { for: input.id, text: label }), input);
}
