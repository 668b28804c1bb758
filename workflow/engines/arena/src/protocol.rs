//! How an iteration is timed: warm up until steady, then sample. Nothing is discarded.
//!
//! The rules are those of `workflow/scripts/arena/measuring/protocol.py`, word for word; a test drives both with
//! the same scripted clock.

use crate::contract::{Protocol, Sampling, Warmup};

/// Bounds the record of an iteration that takes microseconds.
pub const MAX_SAMPLES: usize = 100_000;

/// Durations of one task in one process, in nanoseconds, in the order in which they ran.
#[derive(Debug)]
pub struct Timing<T, O> {
    pub warmup_ns: Vec<u64>,
    pub samples_ns: Vec<u64>,
    /// The warm-up ended because its last iterations agreed, not because time ran out.
    pub steady: bool,
    /// What `observe` said of each timed iteration.
    pub observed: Vec<O>,
    /// What the last timed iteration returned.
    pub result: T,
}

/// Whether the last `window` durations lie within `tolerance` of the shortest of them.
pub fn agree(durations: &[u64], window: usize, tolerance: f64) -> bool {
    let Some(start) = durations.len().checked_sub(window) else { return false };
    let last = &durations[start..];
    match (last.iter().max(), last.iter().min()) {
        (Some(&most), Some(&least)) => most as f64 <= (1.0 + tolerance) * least as f64,
        _ => false,
    }
}

/// Whether the last two iterations took `max_seconds` each, and agree: what a third would say is known.
fn slow(durations: &[u64], warmup: &Warmup) -> bool {
    agree(durations, 2, warmup.tolerance)
        && durations.iter().rev().take(2).all(|&each| each as f64 >= warmup.max_seconds * 1e9)
}

/// Whether `count` samples, which took `elapsed` seconds, end the sampling.
fn enough(count: usize, elapsed: f64, sampling: &Sampling) -> bool {
    (count >= sampling.min_iterations && elapsed >= sampling.min_seconds)
        || (count > 0 && (elapsed >= sampling.max_seconds || count >= MAX_SAMPLES))
}

/// Time `run`, which must return only when its result is ready.
///
/// Warm-up: at least `warmup.min_iterations` and `warmup.min_seconds`, until the last `window` iterations
/// agree or `warmup.max_seconds` are gone. Then samples: at least `min_iterations` and `min_seconds`, but no
/// new iteration after `max_seconds`. Where two iterations in a row took `warmup.max_seconds` each and agree, the
/// warm-up is over before the second, which is the first sample. `clock` gives nanoseconds; `observe` reads something
/// off each timed result. The first error ends the measurement.
pub fn measure<T, E, O>(
    mut run: impl FnMut() -> Result<T, E>,
    limits: &Protocol,
    clock: impl Fn() -> u64,
    observe: impl Fn(&T) -> O,
) -> Result<Timing<T, O>, E> {
    let (mut warmup_ns, mut samples_ns, mut observed) = (Vec::new(), Vec::new(), Vec::new());
    let mut steady;
    let mut once = |durations: &mut Vec<u64>| -> Result<(u64, T), E> {
        let start = clock();
        let result = run()?;
        let end = clock();
        durations.push(end - start);
        Ok((end, result))
    };

    let begin = clock();
    let first = loop {
        let (end, result) = once(&mut warmup_ns)?;
        if slow(&warmup_ns, &limits.warmup) {
            steady = true;
            samples_ns.extend(warmup_ns.pop());
            break Some(result);
        }
        drop(result); // freed outside the clock, before the next iteration
        let elapsed = (end - begin) as f64 * 1e-9;
        steady = agree(&warmup_ns, limits.warmup.window, limits.warmup.tolerance);
        let count = warmup_ns.len();
        if count < limits.warmup.min_iterations || elapsed < limits.warmup.min_seconds {
            continue;
        }
        if steady || elapsed >= limits.warmup.max_seconds || count >= MAX_SAMPLES {
            break None;
        }
    };

    let spent: u64 = samples_ns.iter().sum();
    let begin = clock() - spent;
    let mut elapsed = spent as f64 * 1e-9;
    let mut latest = first;
    loop {
        if let Some(result) = latest {
            observed.push(observe(&result));
            if enough(samples_ns.len(), elapsed, &limits.sampling) {
                return Ok(Timing { warmup_ns, samples_ns, steady, observed, result });
            }
        } // the latest result is freed here, outside the clock
        let (end, result) = once(&mut samples_ns)?;
        elapsed = (end - begin) as f64 * 1e-9;
        latest = Some(result);
    }
}
