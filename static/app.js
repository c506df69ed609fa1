// Which page this is: one sale by its address, the only sale there is, or the list of several.

import * as api from "./api.js";
import { fillTexts, introduce } from "./chrome.js";
import { everySecond } from "./clock.js";
import { el, setText } from "./dom.js";
import { updateSaleList } from "./elements/sale-list.js";
import { text } from "./messages.js";
import { patiently } from "./retry.js";
import { Room } from "./room.js";
import { openShop } from "./shop.js";
import { createStore } from "./store.js";

const stage = document.getElementById("stage");
const status = document.querySelector('[role="status"]');

const troubled = { onWait: () => setText(status, text.sales.failed) };

async function start() {
  fillTexts();
  // The cookie is set before the room is entered, which needs it.
  const session = patiently(() => api.session(), troubled);
  const slug = /^\/sales\/([^/]+)/.exec(location.pathname)?.[1];
  try {
    const sales = slug
      ? [await patiently(() => api.sale(decodeURIComponent(slug)), troubled)]
      : await patiently(() => api.sales(), troubled);
    const { customer } = await session;
    setText(status, "");
    if (sales.length === 1) openShop({ sale: sales[0], session, customer, stage });
    else openList(sales);
  } catch (error) {
    if (error.status !== 404) throw error;
    introduce(text.sales.not_found);
    stage.replaceChildren(el("p", {}, el("a", { href: "/", text: text.sales.all })));
  }
}

function openList(sales) {
  introduce(text.sales.title, sales.length > 0 ? text.sales.lead : text.sales.none);
  const store = createStore();
  for (const sale of sales) store.send({ type: "sale", sale });
  const list = el("ul", { class: "sales", role: "list" });
  stage.replaceChildren(list);
  const render = () => updateSaleList(list, sales.map(({ slug }) => store.state.sales[slug]), Date.now());
  store.subscribe(render);
  everySecond(render);
  new Room({
    sales: sales.map(({ slug }) => slug),
    onMessage: (message) => store.send(message),
    onState: (state) => setText(status, state === "lost" ? text.status.lost : ""),
  }).start();
}

start();
