// Money as the server sends it: integers in the currency's minor unit, never floats.
// The exponents are those of Stripe's API, which is what an amount on the wire means;
// they differ from ISO 4217 for a few currencies (https://docs.stripe.com/currencies).

const zeroDecimal = new Set(
  "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(" "),
);
const threeDecimal = new Set("BHD JOD KWD OMR TND".split(" "));

// These have no decimals in daily life, yet Stripe takes and gives them with two.
const twoDecimalShownWithNone = new Set("ISK UGX".split(" "));

/** How many decimal digits the minor unit of `currency` stands for in Stripe's API. */
export function exponent(currency) {
  const code = currency.toUpperCase();
  if (zeroDecimal.has(code)) return 0;
  if (threeDecimal.has(code)) return 3;
  return 2;
}

/** The amount as an exact decimal string: `decimal(2500, "usd")` is `"25.00"`. */
export function decimal(amount, currency) {
  if (!Number.isSafeInteger(amount)) throw new RangeError(`not an amount: ${amount}`);
  const digits = exponent(currency);
  const sign = amount < 0 ? "-" : "";
  const padded = String(Math.abs(amount)).padStart(digits + 1, "0");
  if (digits === 0) return sign + padded;
  return `${sign}${padded.slice(0, -digits)}.${padded.slice(-digits)}`;
}

/** How many digits a shopper expects to see for this amount. */
function shownDigits(amount, currency) {
  const digits = exponent(currency);
  const hidden = twoDecimalShownWithNone.has(currency.toUpperCase());
  // A fraction that should not exist is shown rather than rounded away.
  return hidden && amount % 100 === 0 ? 0 : digits;
}

const formats = new Map();

/** The price as a shopper reads it, in `locale`: `"$25.00"`, `"¥2,500"`, `"ISK 2,500"`. */
export function formatMoney(amount, currency, locale) {
  const digits = shownDigits(amount, currency);
  const key = `${locale} ${currency} ${digits}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale, {
      style: "currency",
      currency: currency.toUpperCase(),
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
    formats.set(key, format);
  }
  // A string is formatted exactly; browsers that only know numbers convert it themselves.
  return format.format(decimal(amount, currency));
}
