//! Drives the timing protocol with a scripted clock, so that a test can hold it to the one in Python.
//!
//! Reads `{"limits": {...}, "durations_ns": [...]}` on standard input, the last duration going on for ever;
//! writes the warm-up, the samples and whether it was steady.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{self, Read};

use arena::protocol::{Limits, measure};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Script {
    limits: Limits,
    durations_ns: Vec<u64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let script: Script = serde_json::from_str(&text)?;
    let (now, runs) = (Cell::new(0), Cell::new(0));
    let run = || {
        let last = script.durations_ns.len() - 1;
        now.set(now.get() + script.durations_ns[runs.get().min(last)]);
        runs.set(runs.get() + 1);
        Ok::<_, Infallible>(runs.get())
    };
    let record = measure(run, &script.limits, || now.get(), |_| None)?;
    println!(
        "{}",
        json!({
            "warmup_ns": record.warmup_ns, "samples_ns": record.samples_ns,
            "steady": record.steady, "result": record.result,
        })
    );
    Ok(())
}
