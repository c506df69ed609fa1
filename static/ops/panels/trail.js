// What operators did lately: who, what, why. It is read when the page comes, and again after each thing that was done here.

import { eachChild, el, setText, show } from "../../dom.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { text } from "../words.js";
import { panel } from "./parts.js";

const words = text.trail;
/** Lines that are shown; older ones are for the command line. */
const shown = 30;

export function trailPanel({ now }) {
  const note = el("p", { class: "soft", text: words.none });
  const list = el("ol", { class: "timeline", role: "list", "data-testid": "trail-list" });
  const node = panel("trail", words.title, note, list);
  const lineOf = (line) => el("li", {},
    el("span", { class: "figure soft", text: moment(line.at, now()) }),
    el("span", { class: "breaks" },
      el("strong", { text: words.what[line.what] ?? line.what }),
      [line.whom && ` ${line.whom}`, line.note && `, ${line.note}`, ` ${text.order.by(line.by)}`, line.why && `: ${line.why}`, line.result && line.result !== "done" && ` (${line.result})`]
        .filter(Boolean).join("")));
  return {
    node,
    update() {},
    async read() {
      try {
        const answer = await api.trail();
        const lines = answer.trail.slice(0, shown);
        eachChild(list, lines, (line) => line.number, lineOf, () => {});
        setText(note, words.none);
        show(note, lines.length === 0);
      } catch {
        setText(note, words.failed);
        show(note, list.children.length === 0);
      }
    },
  };
}
