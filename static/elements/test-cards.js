// The card numbers of the sandbox, to copy: shown only where no real money can move.

import { el, setText } from "../dom.js";
import { text } from "../messages.js";

const cards = [
  ["4242 4242 4242 4242", "success"],
  ["4000 0000 0000 0002", "declined"],
  ["4000 0000 0000 9995", "funds"],
  ["4000 0000 0000 0069", "expired"],
  ["4000 0000 0000 0127", "cvc"],
  ["4000 0025 0000 3155", "secure"],
];

function copyButton(number) {
  const button = el("button", {
    type: "button",
    class: "quiet small",
    "aria-label": text.sandbox.copy_number(number),
    text: text.sandbox.copy,
  });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(number.replaceAll(" ", ""));
      setText(button, text.sandbox.copied);
      setTimeout(() => setText(button, text.sandbox.copy), 2000);
    } catch {
      // Without a clipboard the number can still be selected.
    }
  });
  return button;
}

/** The list, closed or open as the buyer likes. */
export function testCards() {
  const rows = cards.map(([number, outcome]) =>
    el("li", {},
      el("code", { text: number }),
      el("span", { class: "soft", text: text.sandbox.outcomes[outcome] }),
      copyButton(number),
    ),
  );
  return el("details", { class: "sandbox", open: true, "data-testid": "test-cards" },
    el("summary", { text: text.sandbox.title }),
    el("p", { class: "soft small", text: text.sandbox.lead }),
    el("ul", { role: "list" }, ...rows),
  );
}
