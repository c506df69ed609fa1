// Patience: how long to wait before asking again, and what wakes us earlier.

import { Refusal, Unreachable } from "./api.js";

/** Full-jitter exponential back-off in milliseconds for the `attempt`-th failure (1, 2, …). */
export function backoff(attempt, random = Math.random, base = 500, cap = 15_000) {
  const ceiling = Math.min(cap, base * 2 ** Math.min(attempt - 1, 16));
  // Half fixed, half random: never at once, never all together.
  return Math.round(ceiling / 2 + (ceiling / 2) * random());
}

/** How long to wait after `error`, or null when asking again cannot help. */
export function waitAfter(error, attempt, random = Math.random) {
  if (error instanceof Unreachable) return backoff(attempt, random);
  if (!(error instanceof Refusal)) return null;
  if (error.status !== 429 && error.status !== 503) return null;
  const asked = error.retryAfterMs ?? backoff(attempt, random);
  // A crowd that was told "in 2 s" must not come back in the same millisecond. Whoever was told a
  // time of their own is spread already, and need not miss it.
  const most = error.ownTime ? 2_000 : 15_000;
  return Math.round(asked + random() * Math.min(Math.max(1000, asked / 2), most));
}

/** Resolves after `ms`, or as soon as the network is back, or when `signal` aborts. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", done);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    globalThis.addEventListener?.("online", done);
    signal?.addEventListener("abort", done);
  });
}

function rejectWhenAborted(signal) {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/**
 * Runs `task` until it answers or refuses for good. `onWait(error, ms)` is told before each
 * pause. An aborted `signal` ends it with the signal's reason, even while an answer is awaited.
 */
export async function patiently(task, options = {}) {
  const { onWait = () => {}, signal, attempts = Infinity, random = Math.random } = options;
  const wait = options.pause ?? pause;
  const aborted = signal ? rejectWhenAborted(signal) : null;
  aborted?.catch(() => {});
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      return await (aborted ? Promise.race([task(), aborted]) : task());
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const ms = waitAfter(error, attempt, random);
      if (ms === null || attempt >= attempts) throw error;
      onWait(error, ms);
      await wait(ms, signal);
    }
  }
}
