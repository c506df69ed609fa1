import assert from "node:assert/strict";
import { test } from "node:test";
import { decimal, exponent, formatMoney } from "../money.js";

// Intl separates code and number with a no-break space.
const shown = (...args) => formatMoney(...args).replaceAll("\u00a0", " ");

test("two decimals are the rule", () => {
  assert.equal(shown(2500, "usd", "en"), "$25.00");
  assert.equal(shown(5, "eur", "en"), "€0.05");
  assert.equal(shown(123456789, "gbp", "en-GB"), "£1,234,567.89");
});

test("currencies whose everyday display differs from the wire keep both decimals", () => {
  for (const code of ["huf", "twd", "idr", "cop"]) assert.match(shown(123450, code, "en"), /1,234\.50/);
});

test("a zero-decimal amount is not divided", () => {
  assert.equal(exponent("JPY"), 0);
  assert.equal(shown(2500, "jpy", "en"), "¥2,500");
  assert.equal(shown(2500, "krw", "en"), "₩2,500");
});

test("a three-decimal amount is divided by a thousand", () => {
  assert.equal(exponent("kwd"), 3);
  assert.equal(shown(31250, "kwd", "en"), "KWD 31.250");
  assert.equal(shown(10, "bhd", "en"), "BHD 0.010");
});

test("ISK and UGX travel with two decimals and are shown with none", () => {
  assert.equal(exponent("isk"), 2);
  assert.equal(shown(250000, "isk", "en"), "ISK 2,500");
  assert.equal(shown(50000, "ugx", "en"), "UGX 500");
});

test("a fraction that should not exist is shown, not rounded away", () => {
  assert.equal(shown(250050, "isk", "en"), "ISK 2,500.50");
});

test("large amounts stay exact", () => {
  assert.equal(decimal(9007199254740991, "usd"), "90071992547409.91");
  assert.match(shown(9007199254740991, "usd", "en"), /90,071,992,547,409\.91$/);
});

test("negative amounts keep their sign", () => {
  assert.equal(decimal(-5, "usd"), "-0.05");
  assert.equal(decimal(-1234, "jpy"), "-1234");
});

test("what is no integer is no amount", () => {
  for (const wrong of [1.5, NaN, "25", null, 2 ** 53]) assert.throws(() => decimal(wrong, "usd"));
});
