// The queues, and the jobs that were given up: those wait for a person. What they are is asked for when their number
// changes, and not every second.

import { eachChild, el, setText, show } from "../../dom.js";
import * as api from "../api.js";
import { count, moment, span } from "../format.js";
import { text } from "../words.js";
import { button, panel, row, table } from "./parts.js";

const words = text.jobs;

export function jobsPanel({ can, ask, now }) {
  const unknown = el("p", { class: "soft", text: words.unknown });
  const queues = table(words.title, [words.queue, words.waiting, words.running, words.delayed, words.dead, words.oldest]);
  const title = el("h3", { text: words.dead_title });
  const dead = el("ul", { class: "rows", role: "list", "data-testid": "dead-jobs" });
  const node = panel("jobs", words.title, unknown, queues.node, title, dead);
  const steers = can("steer");
  let known = "";
  show(title, false);

  async function read(counted) {
    try {
      const answer = await api.jobs();
      eachChild(dead, answer.dead, ({ queue, key }) => `${queue} ${key}`, make, () => {});
      show(title, answer.dead.length > 0);
    } catch {
      // The next look tries again.
      if (known === counted) known = "";
    }
  }

  function make(job) {
    const what = `${words.names[job.queue] ?? job.queue} ${job.key}`;
    const act = (how) => ask({
      about: text.confirm[how](what),
      danger: how === "discard",
      run: ({ reason }) => api.endJob(how, job.queue, job.key, reason),
    }).then((done) => done && read(known));
    return el("li", { class: "row", "data-testid": `dead-${job.queue}-${job.key}` },
      el("div", {},
        el("p", { class: "breaks" }, el("strong", { text: words.names[job.queue] ?? job.queue }), ` ${job.reason}`),
        el("p", { class: "soft small breaks figure", text: [job.key, words.deliveries(job.deliveries), words.died(moment(job.died_at, now()))].join(" · ") })),
      steers && el("div", { class: "buttons" },
        button(words.retry, `retry-${job.key}`, () => act("retry")),
        button(words.discard, `discard-${job.key}`, () => act("discard"))));
  }

  return {
    node,
    update(overview) {
      const rows = overview.queues ?? [];
      show(unknown, !overview.queues);
      show(queues.node, Boolean(overview.queues));
      eachChild(queues.body, rows, (queue) => queue.queue, () => row(["", "", "", "", "", ""]), ({ cells_: cells }, queue) => {
        const age = queue.waiting > 0 ? span(queue.oldest_age_ms) : text.none;
        const shown = [words.names[queue.queue] ?? queue.queue, count(queue.waiting), count(queue.running), count(queue.delayed), count(queue.dead), age];
        shown.forEach((value, at) => setText(cells[at], value));
        cells[4].classList.toggle("bad", queue.dead > 0);
      });
      const counted = rows.map(({ queue, dead: n }) => `${queue} ${n}`).join();
      if (counted === known) return;
      const any = rows.some(({ dead: n }) => n > 0);
      known = counted;
      if (any) read(counted);
      else {
        dead.replaceChildren();
        show(title, false);
      }
    },
  };
}
