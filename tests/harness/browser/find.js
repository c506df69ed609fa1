// The first visible element that matches, in the document or in any open shadow root below it.
const find = (selector, root = document) => {
  for (const element of root.querySelectorAll(selector)) {
    if (element.checkVisibility({ visibilityProperty: true })) return element;
  }
  for (const host of root.querySelectorAll('*')) {
    const found = host.shadowRoot && find(selector, host.shadowRoot);
    if (found) return found;
  }
  return null;
};
// Everything that a reader of the page sees, shadow roots included.
const pageText = (root = document.body) => {
  let text = root.innerText ?? root.textContent ?? '';
  for (const host of root.querySelectorAll('*')) {
    if (host.shadowRoot) text += '\n' + [...host.shadowRoot.children].map((c) => c.innerText ?? '').join('\n');
  }
  return text;
};
// Resolves with the first value of `look` that is something, or with null when the time is over. The page's own
// changes wake it; the interval is for what no observer sees (shadow roots, storage, the state of a socket).
const watch = (look, limitMs) =>
  new Promise((resolve) => {
    const attempt = () => {
      const value = look();
      if (value) finish(value);
      return value;
    };
    const finish = (value) => {
      observer.disconnect();
      clearInterval(interval);
      clearTimeout(timer);
      resolve(value);
    };
    const observer = new MutationObserver(attempt);
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    const interval = setInterval(attempt, 50);
    const timer = setTimeout(() => finish(null), limitMs);
    attempt();
  });
