// What this tab has to say that no message from the server says: what it is doing, what the
// buyer must act on, and which field is wrong. The status line is computed, never appended
// to, so its text changes exactly when the state does.

import { formatClock } from "./clock.js";
import { text, reasonOf } from "./messages.js";
import { pending, questionOf, statusOf, wordOf } from "./steps.js";

/** A wait of so many milliseconds is told with its end. */
const tellsTurnFrom = 20_000;

/** This tab's own notices; `onChange()` after each change. */
export class Notices {
  #onChange;
  busy = null;
  waiting = null;
  /** When it is our turn to ask again (ms since 1970), if that is worth telling. */
  turnAt = null;
  alert = null;
  fields = {};
  /** The bank's question as far as this tab is with it: `{question, phase}`. */
  bank = null;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Changes some of `busy` (a word of `text.status`), `waiting`, `alert`, `fields`, `bank`. */
  set(changes) {
    Object.assign(this, "waiting" in changes ? { turnAt: null } : {}, changes);
    this.#onChange();
  }

  /** For `patiently`: says why we wait, in the words for this kind of waiting, and until when if that is long. */
  waits(unanswered, crowded, now = Date.now) {
    return (error, ms) => {
      const turnAt = ms >= tellsTurnFrom ? now() + ms : null;
      this.set({ waiting: error.name === "Refusal" ? crowded : unanswered, turnAt });
    };
  }
}

/**
 * How far this tab is with the bank's question about an order: null, or one of
 *   open         the bank's window is shown
 *   checking     answered; the result is on its way
 *   unfinished   closed, or not passed
 *   unreachable  the window could not be shown
 *   giving_up    called off, for another card
 *   kept         could not be called off
 * and for a payment on Stripe's own page one of
 *   looking      the buyer came back from there; the result is on its way
 *   ending       called off, for a card here
 *   kept         could not be called off
 * Of a question that is over nothing is said.
 */
export function phaseOf(bank, order) {
  const asked = order?.state === "requires_action" && bank?.question === questionOf(order);
  return asked ? bank.phase : null;
}

/** Whether an order is on its way to Stripe's own page. */
export function isLeaving(step, draft) {
  if (!draft?.hosted) return false;
  const { order } = step;
  return order ? draft.order === order.id && (step.name === "sending" || pending.has(order.state)) : step.name === "sending";
}

/** The one status line. */
export function statusLine({ step, sale, draft, connection, notices, elsewhere, now }) {
  const order = step.name === "order" ? step.order : null;
  if (notices.waiting) {
    const { waiting, turnAt } = notices;
    return turnAt ? `${text.status[waiting]} ${text.turn(formatClock(turnAt, undefined, now))}` : text.status[waiting];
  }
  if (connection === "lost") {
    return order && pending.has(order.state) ? text.status.lost_pending : text.status.lost;
  }
  if (isLeaving(step, draft) && (order || !elsewhere)) return text.status.leaving;
  if (notices.busy) return text.status[notices.busy];
  if (order) return text.status[phaseOf(notices.bank, order)] ?? text.status[wordOf(order)] ?? "";
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
  if (order.state !== "requires_action" || !order.action) return "";
  const phase = phaseOf(notices.bank, order);
  return phase === null ? text.alert[wordOf(order)] : (text.alert.bank[phase] ?? "");
}
