// What can be said of the files themselves: the rules that no browser needs to prove.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { formatClock } from "../clock.js";
import { text } from "../messages.js";
import { stubKey, stubsOf } from "../elements/ticket-stub.js";
import { Notices, alertLine, statusLine } from "../notices.js";
import { declined, now, order, sale } from "./world.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const read = (file) => readFileSync(join(root, file), "utf8");
const pages = { "index.html": "app.js", "tickets.html": "tickets.js", "ops.html": "ops/app.js" };
const states =
  "accepted charging requires_action declined closing review paid expired canceled partially_refunded refunded disputed".split(" ");

function importedBy(file, seen = new Set()) {
  for (const [, path] of read(file).matchAll(/(?:from|^import) "(\.[^"]+)"/gm)) {
    const next = normalize(join(dirname(file), path));
    if (!seen.has(next)) importedBy(next, seen.add(next));
  }
  return seen;
}

test("every module is preloaded, so that nothing is fetched in turns or after the payment", () => {
  for (const [page, entry] of Object.entries(pages)) {
    const preloaded = [...read(page).matchAll(/modulepreload" href="\{\{static\}\}\/([^"]+)"/g)].map(([, file]) => file);
    assert.deepEqual(preloaded.sort(), [...importedBy(entry)].sort(), page);
  }
});

test("the served status line is empty, and there is one", () => {
  for (const page of Object.keys(pages)) {
    assert.equal(read(page).match(/role="status"/g).length, 1);
    assert.match(read(page), /role="status"[^>]*><\//);
  }
});

test("the pages hold no inline script or style, and load nothing from elsewhere", () => {
  for (const page of Object.keys(pages)) {
    assert.doesNotMatch(read(page), /style=|<style|<script(?![^>]*src=)|\son\w+=|https?:/);
  }
  for (const file of readdirSync(root, { recursive: true }).filter((name) => name.endsWith(".css"))) {
    assert.doesNotMatch(read(file), /url\(|@import/, file);
  }
});

test("every state of an order has its sentences", () => {
  for (const state of states) {
    assert.ok(text.order[state]?.title, state);
    assert.ok(text.status[state], state);
    assert.ok(text.tickets.state[state], state);
  }
});

test("money that came after the end is said to go back, and nobody is told that nothing was charged", () => {
  for (const state of ["expired", "canceled"]) {
    const late = { name: "order", order: order({ state, charge: "ch_1" }) };
    const line = statusLine({ step: late, sale: sale(), connection: "live", notices: { bank: null }, elsewhere: false, now });
    assert.equal(line, text.status.returned);
  }
  assert.ok(text.order.returned.title);
});

test("every class of decline has its sentence", () => {
  const classes =
    "card_declined insufficient_funds expired_card incorrect_cvc incorrect_number processing_error authentication_required try_another_card";
  for (const code of classes.split(" ")) assert.ok(text.order.reasons[code], code);
});

const line = (step, more = {}) =>
  statusLine({ step, sale: { ...sale(), opensAt: null, closesAt: null }, connection: "live", notices: { busy: null, waiting: null }, elsewhere: false, now, ...more });

test("the status line says the order's state, and nothing that ticks", () => {
  for (const state of states) {
    const early = line({ name: "order", order: order({ state, place: { position: 9, at: now + 9000 } }) });
    const late = line({ name: "order", order: order({ state, place: { position: 1, at: now + 1 } }) }, { now: now + 8000 });
    assert.equal(early, late);
  }
});

test("who is told to come in minutes reads when, by the clock on the wall, and nothing that ticks", () => {
  const notices = new Notices(() => {});
  const step = { name: "choose" };
  const wait = notices.waits("unanswered", "busy", () => now);
  wait({ name: "Refusal" }, 240_000);
  const said = line(step, { notices });
  assert.equal(said, `${text.status.busy} ${text.turn(formatClock(now + 240_000, undefined, now))}`);
  assert.equal(line(step, { notices, now: now + 30_000 }), said);
  wait({ name: "Refusal" }, 3_000);
  assert.equal(line(step, { notices }), text.status.busy);
  wait({ name: "Refusal" }, 240_000);
  notices.set({ waiting: "elsewhere" });
  assert.equal(line(step, { notices }), text.status.elsewhere, "the turn went with its waiting");
});

test("a lost connection tells a waiting buyer that the order is safe", () => {
  const lost = { connection: "lost" };
  assert.equal(line({ name: "order", order: order() }, lost), text.status.lost_pending);
  assert.equal(line({ name: "choose" }, lost), text.status.lost);
});

test("an alert is raised only where the buyer must act", () => {
  const alert = (step, own = null) => alertLine({ step, notices: { alert: own } });
  for (const state of states.filter((state) => !["declined", "requires_action"].includes(state))) {
    assert.equal(alert({ name: "order", order: order({ state }) }), "", state);
  }
  assert.match(alert({ name: "order", order: declined() }), /declined/);
  const asked = { name: "order", order: order({ state: "requires_action", action: { client_secret: "s" } }) };
  assert.equal(alert(asked), text.alert.requires_action);
  assert.equal(alert({ name: "choose" }, "Choose again."), "Choose again.");
});

test("a ticket that was refunded is listed without a code, and its stub is made anew", () => {
  const valid = order({ state: "paid", tickets: [{ id: "t1", tier: "ga", code: "A" }, { id: "t2", tier: "ga", code: "B" }], voided: [] });
  const partly = order({ state: "partially_refunded", tickets: [{ id: "t2", tier: "ga", code: "B" }], voided: [{ id: "t1", tier: "ga" }] });
  assert.deepEqual(stubsOf(valid).map((ticket) => ticket.code), ["A", "B"]);
  assert.deepEqual(stubsOf(partly).map((ticket) => [ticket.id, ticket.code]), [["t2", "B"], ["t1", undefined]]);
  const keys = (order) => new Map(stubsOf(order).map((ticket) => [ticket.id, stubKey(ticket)]));
  assert.notEqual(keys(valid).get("t1"), keys(partly).get("t1"));
  assert.equal(keys(valid).get("t2"), keys(partly).get("t2"));
  assert.deepEqual(stubsOf(order({ tickets: undefined })), [], "an older server names neither");
});
