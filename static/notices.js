// What this tab has to say that no message from the server says: what it is doing, what the
// buyer must act on, and which field is wrong. The status line is computed, never appended
// to, so its text changes exactly when the state does.

import { text, reasonOf } from "./messages.js";
import { pending, statusOf } from "./steps.js";

/** This tab's own notices; `onChange()` after each change. */
export class Notices {
  #onChange;
  busy = null;
  waiting = null;
  alert = null;
  fields = {};

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Changes some of `busy` (a word of `text.status`), `waiting`, `alert`, `fields`. */
  set(changes) {
    Object.assign(this, changes);
    this.#onChange();
  }

  /** For `patiently`: says why we wait, in the words for this kind of waiting. */
  waits(unanswered, crowded) {
    return (error) => this.set({ waiting: error.name === "Refusal" ? crowded : unanswered });
  }
}

/** The one status line. */
export function statusLine({ step, sale, connection, notices, elsewhere, now }) {
  const order = step.name === "order" ? step.order : null;
  if (notices.waiting) return text.status[notices.waiting];
  if (connection === "lost") {
    return order && pending.has(order.state) ? text.status.lost_pending : text.status.lost;
  }
  if (notices.busy) return text.status[notices.busy];
  if (order) return text.status[order.state] ?? "";
  if (step.name === "sending") return elsewhere ? text.status.elsewhere : text.status.sending;
  if (step.name === "missing") return text.status.missing;
  if (step.name === "pay") return step.hold.renewed ? text.status.held_again : text.status.held;
  if (step.name !== "choose") return "";
  return { paused: text.status.paused, closed: text.status.closed, sold_out: text.status.sold_out }[
    statusOf(sale, now)
  ] ?? "";
}

/** What the buyer must act on, or "". */
export function alertLine({ step, notices }) {
  if (notices.alert) return notices.alert;
  if (step.name !== "order") return "";
  const { order } = step;
  if (order.state === "declined" && order.decline) {
    return text.alert.declined(reasonOf(order.decline));
  }
  return order.state === "requires_action" && order.action ? text.alert.requires_action : "";
}
