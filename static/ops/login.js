// The form to log in by.

import { Refusal, Unreachable } from "../api.js";
import { el, setText } from "../dom.js";
import * as api from "./api.js";
import { text } from "./words.js";

const words = text.login;

/** The form; `why` is what brought somebody here, `done` is called when they are in. */
export function loginForm({ why = "", done }) {
  const alert = el("p", { class: "alert", role: "alert", text: why, "data-testid": "login-alert" });
  const name = el("input", { id: "name", name: "username", type: "text", autocomplete: "username", autocapitalize: "off", spellcheck: "false", required: true, "data-testid": "name" });
  const password = el("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true, "data-testid": "password" });
  const submit = el("button", { class: "primary", type: "submit", text: words.submit, "data-testid": "log-in" });
  const form = el("form", { class: "login", "aria-labelledby": "login-title" },
    el("h1", { id: "login-title", text: words.title }),
    el("p", { class: "lead", text: words.lead }),
    alert,
    el("div", { class: "field" }, el("label", { for: "name", text: words.name }), name),
    el("div", { class: "field" }, el("label", { for: "password", text: words.password }), password),
    submit);
  form.onsubmit = async (event) => {
    event.preventDefault();
    setText(alert, "");
    submit.disabled = true;
    setText(submit, words.busy);
    try {
      await api.logIn(name.value.trim(), password.value);
      await done();
    } catch (error) {
      setText(alert, reason(error));
      password.select();
    } finally {
      submit.disabled = false;
      setText(submit, words.submit);
    }
  };
  return form;
}

/** Why somebody is not let in. */
export function reason(error) {
  if (error instanceof Unreachable) return words.unreachable;
  if (!(error instanceof Refusal)) return words.failed;
  if (error.code === "bad_login") return words.bad_login;
  if (error.code === "slow_down") return words.slow_down(Math.max(1, Math.ceil((error.retryAfterMs ?? 1_000) / 1_000)));
  return words.failed;
}
