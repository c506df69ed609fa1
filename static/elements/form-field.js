// A labelled input with a hint and an error that assistive technology finds.

import { el, setAttribute, setText, show } from "../dom.js";

/** Ties hint and error to a control; answers the element and a way to set the error. */
export function formField({ id, label, hint = "", control }) {
  const hintId = `${id}-hint`;
  const errorId = `${id}-error`;
  const error = el("p", { class: "problem", id: errorId, hidden: true });
  const hintLine = hint ? el("p", { class: "soft small", id: hintId, text: hint }) : null;
  control.setAttribute("aria-describedby", hint ? `${errorId} ${hintId}` : errorId);
  const node = el("div", { class: "field" }, label, control, error, hintLine);
  const setError = (sentence) => {
    setText(error, sentence);
    show(error, sentence !== "");
    node.classList.toggle("wrong", sentence !== "");
    if (control.matches("input")) setAttribute(control, "aria-invalid", sentence ? "true" : null);
  };
  return { node, setError, control };
}
