const POLL_MS = 20;

/** Waits until `condition()` is truthy and returns its value; throws `what` did not happen when the deadline passes. */
export async function until(what, condition, deadlineMs = 20_000) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
