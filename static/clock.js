// Deadlines. The server sends durations, because a shopper's clock may be wrong by hours;
// a duration becomes a deadline on this computer's clock the moment it arrives.

import { text } from "./messages.js";

/** The local instant (ms) that lies `ms` ahead of `now`, or null when there is none. */
export function deadlineIn(ms, now = Date.now()) {
  return ms === null || ms === undefined ? null : now + ms;
}

/** Milliseconds left, never negative. */
export function left(deadline, now = Date.now()) {
  return Math.max(0, deadline - now);
}

const two = (n) => String(n).padStart(2, "0");

/** `"9:41"`, `"1:02:03"`, `"3 days 4:05:06"`; seconds are rounded up, so that 0:00 means over. */
export function formatCountdown(ms) {
  const total = Math.max(0, Math.ceil(ms / 1000));
  const [d, h] = [Math.floor(total / 86_400), Math.floor((total % 86_400) / 3600)];
  const [m, s] = [Math.floor((total % 3600) / 60), total % 60];
  if (d > 0) return `${text.days(d)} ${h}:${two(m)}:${two(s)}`;
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** The deadline as a time on the wall, with the day when it is not today, and the year when it is not this one. */
export function formatClock(deadline, locale, now = Date.now()) {
  const at = new Date(deadline);
  const time = { hour: "numeric", minute: "2-digit" };
  const today = new Date(now);
  const sameDay = at.toDateString() === today.toDateString();
  const day = sameDay ? {} : { weekday: "short", day: "numeric", month: "short" };
  const year = at.getFullYear() === today.getFullYear() ? {} : { year: "numeric" };
  // "PM" does not go to the next line without its hour.
  return new Intl.DateTimeFormat(locale, { ...day, ...year, ...time }).format(at).replace(/\s(?=[AP]M$)/i, "\u00a0");
}

/** The day and time of an instant, for records such as "bought on". */
export function formatDate(instant, locale) {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(instant),
  );
}

const listeners = new Set();
let timer = null;

function tick() {
  const now = Date.now();
  // Aligned to whole seconds: all countdowns of the page change together.
  timer = setTimeout(tick, 1000 - (now % 1000) + 5);
  for (const listener of listeners) listener(now);
}

/** Calls `listener(now)` once a second until the returned function is called. */
export function everySecond(listener) {
  listeners.add(listener);
  if (timer === null) tick();
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearTimeout(timer);
      timer = null;
    }
  };
}
