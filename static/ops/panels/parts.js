// What panels are made of.

import { el, setAttribute, setText } from "../../dom.js";

/** A panel with its heading. */
export function panel(id, title, ...children) {
  return el("section", { class: "panel", id, "aria-labelledby": `${id}-title`, "data-testid": id },
    el("h2", { id: `${id}-title`, text: title }), ...children);
}

/** A state as a sign and a word: the colour only repeats them. */
export function badge() {
  const [sign, word] = [el("span", { "aria-hidden": "true" }), el("span", {})];
  const node = el("span", { class: "badge" }, sign, word);
  return {
    node,
    set(state, [mark, name]) {
      setAttribute(node, "data-state", state);
      setText(sign, mark);
      setText(word, name);
    },
  };
}

/** A figure with what it is. */
export function tile(testid, label, unit = "") {
  const [value, below] = [el("dd", { class: "figure", "data-testid": testid }), el("dd", { class: "soft small", text: unit })];
  const node = el("div", { class: "tile" }, el("dt", { text: label }), value, below);
  return {
    node,
    set(figure, more = unit) {
      setText(value, figure);
      setText(below, more);
    },
  };
}

/** A button that asks before it does something. */
export function button(label, testid, onclick, props = {}) {
  return el("button", { class: "secondary small-button", type: "button", text: label, "data-testid": testid, onclick, ...props });
}

/** A table row of plain cells; the first one heads it. */
export function row(cells) {
  const nodes = cells.map((_, at) => (at === 0 ? el("th", { scope: "row" }) : el("td", { class: "figure" })));
  const node = el("tr", {}, ...nodes);
  return Object.assign(node, { cells_: nodes });
}

/** A table with these heads; in a box of its own that scrolls when there is no room. */
export function table(label, heads) {
  const body = el("tbody", {});
  const node = el("div", { class: "table", tabindex: 0, role: "region", "aria-label": label },
    el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col", text: head })))), body));
  return { node, body };
}
