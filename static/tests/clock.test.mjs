import assert from "node:assert/strict";
import { test } from "node:test";
import { deadlineIn, formatClock, formatCountdown, left } from "../clock.js";
import { roughly } from "../messages.js";

test("a duration becomes a deadline on this clock, and none stays none", () => {
  assert.equal(deadlineIn(1500, 1000), 2500);
  assert.equal(deadlineIn(0, 1000), 1000);
  assert.equal(deadlineIn(null, 1000), null);
  assert.equal(deadlineIn(undefined, 1000), null);
});

test("nothing is left after the deadline", () => {
  assert.equal(left(2000, 1500), 500);
  assert.equal(left(2000, 9000), 0);
});

test("the countdown rounds up, so that 0:00 means over", () => {
  assert.equal(formatCountdown(600_000), "10:00");
  assert.equal(formatCountdown(599_999), "10:00");
  assert.equal(formatCountdown(1), "0:01");
  assert.equal(formatCountdown(0), "0:00");
  assert.equal(formatCountdown(-5), "0:00");
  assert.equal(formatCountdown(3_723_000), "1:02:03");
  assert.equal(formatCountdown(86_400_000), "1 day 0:00:00");
  assert.equal(formatCountdown(3 * 86_400_000 + 3_723_000), "3 days 1:02:03");
});

test("the clock time bears the day unless it is today", () => {
  const noon = new Date(2026, 5, 1, 12, 0).getTime();
  assert.equal(formatClock(noon, "en-GB", noon), "12:00");
  assert.match(formatClock(noon + 86_400_000, "en-GB", noon), /2 Jun/);
  assert.doesNotMatch(formatClock(noon + 86_400_000, "en-GB", noon), /2026/);
  assert.match(formatClock(noon + 366 * 86_400_000, "en-GB", noon), /2 Jun 2027/);
  assert.equal(formatClock(noon, "en-US", noon), "12:00\u00a0PM");
});

test("time left is said as a person would", () => {
  assert.equal(roughly(16_400), "about 17 seconds");
  assert.equal(roughly(61_000), "about a minute");
  assert.equal(roughly(150_000), "about 3 minutes");
  assert.equal(roughly(7_000_000), "about 2 hours");
});
