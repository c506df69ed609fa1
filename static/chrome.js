// The parts that all pages share: their fixed sentences and their heading.

import { el, setText } from "./dom.js";
import { text } from "./messages.js";

/** Fills the sentences that the HTML only names. */
export function fillTexts() {
  for (const node of document.querySelectorAll("[data-text]")) {
    setText(node, text[node.dataset.text]);
  }
}

/** Sets the page's heading and the window's title. */
export function introduce(title, lead = "") {
  document.title = text.title(title);
  const intro = document.getElementById("intro");
  intro.replaceChildren(el("h1", { text: title }), ...(lead ? [el("p", { class: "lead", text: lead })] : []));
}
