// The operators' page: first who is there, then the shop, live.

import { Refusal } from "../api.js";
import { setText, show } from "../dom.js";
import { everySecond } from "../clock.js";
import { patiently } from "../retry.js";
import * as api from "./api.js";
import { board, pulse } from "./board.js";
import { Live } from "./live.js";
import { loginForm } from "./login.js";
import { text } from "./words.js";

const stage = document.getElementById("stage");
const status = document.querySelector('[role="status"]');
const state = document.getElementById("live");
const who = document.getElementById("who");
const leave = document.getElementById("leave");
const say = (sentence) => setText(status, sentence);

/** What ends with the session. */
let end = () => {};

async function start() {
  for (const node of document.querySelectorAll("[data-text]")) setText(node, text[node.dataset.text]);
  document.title = text.title;
  leave.onclick = logOut;
  const operator = await patiently(known);
  if (operator) enter(operator);
  else askForLogin();
}

/** Who is there; null for nobody. */
async function known() {
  try {
    return await api.me();
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) return null;
    throw error;
  }
}

function askForLogin(why = "") {
  end();
  end = () => {};
  for (const node of [state, who, leave]) show(node, false);
  const form = loginForm({ why, done: async () => enter(await api.me()) });
  stage.replaceChildren(form);
  form.querySelector("input").focus();
}

function enter(operator) {
  say("");
  setText(who, text.who(operator.name, operator.role ?? operator.kind));
  for (const node of [state, who, leave]) show(node, true);
  const shown = board({ operator, say });
  const beat = pulse({ node: state, board: () => shown.node, say, words: text.live });
  const live = new Live({
    onWelcome: (message) => shown.begin(message.history),
    onOverview: (overview) => {
      beat.heard();
      shown.update(overview);
    },
    onLost: (how) => {
      beat.lost(how);
      // A session that has ended is refused at the door, and a browser does not tell why a socket was refused.
      known().then((one) => one === null && over("session_ended"), () => {});
    },
    onEnd: over,
  });
  const active = () => live.active();
  const events = ["pointerdown", "keydown"];
  for (const event of events) document.addEventListener(event, active, { passive: true });
  const stop = everySecond((now) => beat.tell(now));
  end = () => {
    live.stop();
    stop();
    for (const event of events) document.removeEventListener(event, active);
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  };
  stage.replaceChildren(shown.node);
  beat.tell();
  live.start();
}

function over(why) {
  askForLogin(text.login[why] ?? text.login.session_ended);
}

async function logOut() {
  try {
    await api.logOut();
    askForLogin(text.login.logged_out);
  } catch {
    say(text.confirm.failed);
  }
}

start();
