// Numbers and times for people who have little time: short, and always in the same width.

import { locale } from "../messages.js";
import { text } from "./words.js";

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A count: `12,345`; what is not known is a dash. */
export const count = (value) => (isNumber(value) ? whole.format(value) : text.none);

/** A rate or a time: with a decimal as long as that says something. */
export const figure = (value) => (isNumber(value) ? (Math.abs(value) < 100 ? tenths : whole).format(value) : text.none);

/** A span of time: `0.4 s`, `12 s`, `6 min 40 s`, `3 h 5 min`. */
export function span(ms) {
  if (!isNumber(ms)) return text.none;
  if (ms < 950) return `${tenths.format(Math.max(0, ms) / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 100) return `${hours} h ${minutes % 60} min`;
  return `${Math.round(hours / 24)} days`;
}

/** An instant as time of day; with its day, when that is another one. */
export function moment(instant, now = Date.now()) {
  const at = new Date(instant);
  if (Number.isNaN(at.getTime())) return text.none;
  const same = at.toDateString() === new Date(now).toDateString();
  return same ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`;
}

/** Milliseconds between two instants of the server, as it tells them. */
export const between = (earlier, later) => Math.max(0, Date.parse(later) - Date.parse(earlier));

/** Bytes: `23 MB`. */
export function bytes(value) {
  if (!isNumber(value)) return text.none;
  return value < 10e6 ? `${tenths.format(value / 1e6)} MB` : `${whole.format(value / 1e6)} MB`;
}
