// The sandbox's own page: its counters, its last requests, and what can be made to go wrong.
'use strict';

const EVERY_MS = 2000;
const said = document.getElementById('said');

const text = (name, content, className) => {
  const element = document.createElement(name);
  element.textContent = content;
  if (className) element.className = className;
  return element;
};

async function show() {
  try {
    const [stats, log] = await Promise.all(
      ['/_sandbox/stats', '/_sandbox/log?limit=30'].map(async (path) => (await fetch(path)).json()),
    );
    const entries = Object.entries(stats).map(([name, value]) => {
      const entry = document.createElement('div');
      entry.append(text('dt', name.replaceAll('_', ' ')), text('dd', String(value)));
      return entry;
    });
    document.getElementById('stats').replaceChildren(...entries);
    const lines = log.requests.reverse().map((request) => {
      const line = document.createElement('li');
      line.className = request.status >= 400 || request.fault ? 'bad' : '';
      const more = [`${request.milliseconds} ms`, request.replayed && 'replayed', request.fault].filter(Boolean);
      line.append(
        text('span', `${request.status} `, 'status'),
        text('span', `${request.method} ${request.path} `),
        text('span', more.join(', '), 'quiet'),
      );
      return line;
    });
    document.getElementById('log').replaceChildren(...lines);
    document.getElementById('none').hidden = lines.length > 0;
  } catch {
    said.className = 'refused';
    said.textContent = 'The sandbox does not answer.';
  }
}

async function tell(body, name) {
  const reply = await fetch('/_sandbox/control', { method: 'POST', body: JSON.stringify(body) });
  const answer = await reply.json();
  said.className = reply.ok ? '' : 'refused';
  said.textContent = reply.ok ? `Done: ${name}.` : answer.error;
  await show();
}

for (const button of document.querySelectorAll('button')) {
  button.addEventListener('click', () => {
    const fault = button.dataset.fault;
    const body = fault
      ? { faults: [{ fault, method: 'POST', path: '/v1/payment_intents' }] }
      : JSON.parse(button.dataset.control);
    tell(body, button.textContent);
  });
}

show();
setInterval(show, EVERY_MS);
