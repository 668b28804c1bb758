//! What a test holds to the same in Python: the timing protocol, and a whole cell.
//!
//! `conformance --job JOB.json` measures a made-up engine as any other is measured. Without arguments it drives the
//! timing protocol with a scripted clock: it reads `{"protocol": {...}, "durations_ns": [...]}` on standard input,
//! the last duration going on for ever, and writes the warm-up, the samples and whether it was steady.

use std::cell::Cell;
use std::convert::Infallible;
use std::env;
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arena::contract::Protocol;
use arena::protocol::measure;
use arena::tensors::Array;
use arena::{Description, Engine, Failure, Fetched, Job, Result, Task};
use serde::Deserialize;
use serde_json::{Value, json};

/// tests/support/adapters/conforming.py in Rust: it computes by rule, and takes its time by the clock.
struct Conforming {
    job: Job,
}

/// The result of one iteration.
struct Output {
    values: Vec<f32>,
    first_token_ns: Option<u64>,
}

impl Conforming {
    fn option(&self, name: &str) -> Option<&Value> {
        self.job.cell.options.get(name)
    }

    /// The number of values of the task's first input.
    fn size(&self, task: Task) -> Result<usize> {
        let inputs = self.job.inputs(task)?;
        let first = inputs.values().next().ok_or_else(|| Failure::Error("no inputs".into()))?;
        Ok(first.shape().iter().product())
    }
}

impl Engine for Conforming {
    type Output = Output;

    fn new(job: &Job) -> Result<Self> {
        Ok(Self { job: job.clone() })
    }

    fn describe(&self) -> Description {
        let threads = Some(self.job.cell.threads);
        Description { backend: "by rule".into(), device: "none".into(), threads }
    }

    fn load(&mut self) -> Result<()> {
        if self.option("fault") == Some(&json!("load")) {
            return Err(Failure::Error("asked   to\nfail".into()));
        }
        Ok(())
    }

    fn prepare(&mut self, task: Task) -> Result<()> {
        if self.option("unsupported") == Some(&json!(task.name())) {
            return Err(Failure::unsupported("unsupported-model", "not by this rule"));
        }
        Ok(())
    }

    fn run(&mut self, task: Task) -> Result<Output> {
        let begin = Instant::now();
        std::thread::sleep(Duration::from_millis(1));
        let first_token_ns = (task == Task::Decode).then(|| begin.elapsed().as_nanos() as u64);
        std::thread::sleep(Duration::from_millis(1));
        let size = self.size(task)?;
        Ok(Output { values: (0..size * 4).map(|index| index as f32 / 8.0).collect(), first_token_ns })
    }

    fn fetch(&mut self, task: Task, output: Output) -> Result<Fetched> {
        let shape = vec![output.values.len() / 4, 4];
        let array = Array::new(shape, output.values)?;
        Ok(match task {
            Task::Training => {
                let loss = if self.option("fault") == Some(&json!("nan")) { f64::NAN } else { 0.5 };
                Fetched::Gradients { loss, gradients: vec![("weight".into(), array)] }
            }
            Task::Decode => Fetched::Tokens((0..self.job.cell.decode_tokens as i64).collect()),
            Task::Inference | Task::Latency => Fetched::Output(array),
        })
    }

    fn first_token_ns(output: &Output) -> Option<u64> {
        output.first_token_ns
    }

    fn device_ns(&self) -> Option<u64> {
        self.option("device_ns").and_then(Value::as_u64)
    }

    fn device_peak_bytes(&self) -> Option<u64> {
        self.option("device_bytes").and_then(Value::as_u64)
    }
}

#[derive(Deserialize)]
struct Script {
    protocol: Protocol,
    durations_ns: Vec<u64>,
}

fn main() -> ExitCode {
    if env::args().len() > 1 {
        return arena::main::<Conforming>();
    }
    match timing() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn timing() -> std::result::Result<(), Box<dyn std::error::Error>> {
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
    let record = measure(run, &script.protocol, || now.get(), |_| ())?;
    println!(
        "{}",
        json!({
            "warmup_ns": record.warmup_ns, "samples_ns": record.samples_ns,
            "steady": record.steady, "result": record.result,
        })
    );
    Ok(())
}
