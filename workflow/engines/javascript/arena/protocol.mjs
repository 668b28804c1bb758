/** How an iteration is timed: warm up until steady, then sample. Nothing is discarded.
 *
 * The rules are those of `workflow/scripts/arena/measuring/protocol.py`, word for word; a test drives both with the same
 * scripted clock.
 */

/** Bounds the record of an iteration that takes microseconds. */
export const MAX_SAMPLES = 100_000;

/** Whether the last `window` durations lie within `tolerance` of the shortest of them. */
export function agree(durations, window, tolerance) {
  const last = durations.slice(-window);
  return last.length === window && Math.max(...last) <= (1 + tolerance) * Math.min(...last);
}

/** Whether the last two iterations took `max_seconds` each, and agree: what a third would say is known. */
function slow(durations, warmup) {
  return Math.min(...durations.slice(-2)) >= warmup.max_seconds * 1e9 && agree(durations, 2, warmup.tolerance);
}

/** Whether `count` samples, which took `elapsed` seconds, end the sampling. */
function enough(count, elapsed, sampling) {
  if (count >= sampling.min_iterations && elapsed >= sampling.min_seconds) return true;
  return count > 0 && (elapsed >= sampling.max_seconds || count >= MAX_SAMPLES);
}

/** Time `run`, whose promise is kept only when its result is ready.
 *
 * Warm-up: at least `warmup.min_iterations` and `warmup.min_seconds`, until the last `window` iterations agree or
 * `warmup.max_seconds` are gone. Then samples: at least `min_iterations` and `min_seconds`, but no new iteration after
 * `max_seconds`. Where two iterations in a row took `warmup.max_seconds` each and agree, the warm-up is over before the
 * second, which is the first sample. `clock` gives nanoseconds; `observe` reads something off each timed result.
 *
 * Returns {warmup_ns, samples_ns, steady, observed, result}: durations in nanoseconds in the order in which they ran,
 * whether the warm-up ended because its last iterations agreed, what `observe` said of each sample, and what the last
 * timed iteration returned. The first error ends the measurement.
 */
export async function measure(run, { warmup, sampling }, clock, observe = () => undefined) {
  const [warmup_ns, samples_ns, observed] = [[], [], []];
  let steady = false;
  let result;

  async function once(durations) {
    result = undefined; // free the previous result outside the clock
    const start = clock();
    result = await run();
    const end = clock();
    durations.push(end - start);
    return end;
  }

  globalThis.gc?.();
  let begin = clock();
  for (;;) {
    const elapsed = ((await once(warmup_ns)) - begin) * 1e-9;
    if (slow(warmup_ns, warmup)) {
      samples_ns.push(warmup_ns.pop());
      observed.push(observe(result));
      steady = true;
      break;
    }
    steady = agree(warmup_ns, warmup.window, warmup.tolerance);
    if (warmup_ns.length < warmup.min_iterations || elapsed < warmup.min_seconds) continue;
    if (steady || elapsed >= warmup.max_seconds || warmup_ns.length >= MAX_SAMPLES) break;
  }

  const spent = samples_ns.reduce((sum, each) => sum + each, 0);
  begin = clock() - spent;
  let elapsed = spent * 1e-9;
  while (!enough(samples_ns.length, elapsed, sampling)) {
    elapsed = ((await once(samples_ns)) - begin) * 1e-9;
    observed.push(observe(result));
  }
  return { warmup_ns, samples_ns, steady, observed, result };
}
