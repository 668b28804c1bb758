//! Measure one cell once, in this process: the counterpart of `workflow/scripts/measure.py`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

use serde_json::{Map, Value, json};

use crate::tensors::{Array, Input, save};
use crate::{Engine, Failure, Fetched, Job, Result, Task, loss, memory, network, protocol};

/// The whole program: `--job JOB.json`. What goes wrong is recorded; only an unreadable job is an error.
pub fn main<E: Engine>() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [flag, path] = arguments.as_slice() else {
        eprintln!("usage: {} --job JOB.json (benchmark.py --keep-job writes such a file)", program());
        return ExitCode::from(2);
    };
    if flag != "--job" {
        eprintln!("{flag}: expected --job JOB.json");
        return ExitCode::from(2);
    }
    let job = match Job::read(Path::new(path)) {
        Ok(job) => job,
        Err(failure) => {
            eprintln!("{}", text(&failure));
            return ExitCode::from(2);
        }
    };
    Cell::new(job).run::<E>();
    ExitCode::SUCCESS
}

fn program() -> String {
    env::args().next().unwrap_or_else(|| "engine".into())
}

/// One cell's measurement; `record` is what the supervisor reads.
struct Cell {
    job: Job,
    record: Map<String, Value>,
    outputs: BTreeMap<String, Input>,
}

impl Cell {
    fn new(job: Job) -> Self {
        let record = json!({
            "status": "ok", "reason": null, "stage": "import", "tasks": {}, "import_s": null, "memory": {},
        });
        let Value::Object(record) = record else { unreachable!("an object was written") };
        Self { job, record, outputs: BTreeMap::new() }
    }

    /// Measure every task that the job asks for; failures are recorded, never raised.
    fn run<E: Engine>(mut self) {
        let mut engine = match caught(|| self.start::<E>()) {
            Ok(engine) => engine,
            Err(failure) => {
                self.record.extend(outcome(&failure));
                self.save();
                return;
            }
        };
        for task in self.job.tasks.clone() {
            self.stage(task.name());
            let measured = caught(|| self.measure(&mut engine, task));
            let failed = measured.is_err();
            let entry = measured.unwrap_or_else(|failure| outcome(&failure));
            if failed && task == Task::Inference {
                self.record.extend(entry.clone()); // nothing else means anything without it
            }
            self.record["tasks"][task.name()] = Value::Object(entry);
            if failed && task == Task::Inference {
                break;
            }
        }
        self.record.insert("threads_reported".into(), json!(engine.describe().threads));
        self.stage("done");
    }

    /// Build the engine, load the weights.
    fn start<E: Engine>(&mut self) -> Result<E> {
        self.stage("load");
        let mut engine = E::new(&self.job)?;
        let about = engine.describe();
        self.record.insert("backend".into(), json!(about.backend));
        self.record.insert("device".into(), json!(about.device));
        memory::reset_peak();
        self.record["memory"]["baseline_bytes"] = json!(memory::resident_bytes());
        let begin = Instant::now();
        engine.load()?;
        self.record.insert("load_s".into(), json!(begin.elapsed().as_secs_f64()));
        Ok(engine)
    }

    /// Compile and time one task, then fetch and store what it computed.
    fn measure<E: Engine>(&mut self, engine: &mut E, task: Task) -> Result<Map<String, Value>> {
        if own_peak(task) {
            memory::reset_peak();
        }
        let begin = Instant::now();
        engine.prepare(task)?;
        drop(engine.run(task)?);
        let compile_s = begin.elapsed().as_secs_f64();
        if task == Task::Inference {
            self.record.insert("first_output_monotonic_s".into(), json!(monotonic_seconds()));
        }
        println!("{}: first result after {compile_s:.2} s", task.name());

        let clock = || begin.elapsed().as_nanos() as u64;
        let timing = protocol::measure(|| engine.run(task), &self.job.protocol, clock, E::first_token_ns)?;
        let key = format!("{}_peak_bytes", if own_peak(task) { task.name() } else { "inference" });
        let before = self.record["memory"].get(&key).and_then(Value::as_u64).unwrap_or(0);
        self.record["memory"][&key] = json!(memory::peak_bytes().max(before));
        println!("{}: {} samples", task.name(), timing.samples_ns.len());

        let mut entry = Map::from_iter([
            ("status".into(), json!("ok")),
            ("reason".into(), Value::Null),
            ("compile_s".into(), json!(compile_s)),
            ("warmup_ns".into(), json!(timing.warmup_ns)),
            ("steady".into(), json!(timing.steady)),
            ("samples_ns".into(), json!(timing.samples_ns)),
        ]);
        if task == Task::Decode {
            let prompt = self.job.inputs(task)?.remove("input_ids");
            let prompt = prompt.map_or(0, |ids| ids.shape().iter().product::<usize>());
            entry.insert("first_token_ns".into(), json!(timing.observed));
            entry.insert("prompt_tokens".into(), json!(prompt));
            entry.insert("new_tokens".into(), json!(self.job.decode_tokens));
        }
        let fetched = engine.fetch(task, timing.result)?;
        self.keep(task, fetched)?;
        Ok(entry)
    }

    /// Write the outputs; put the loss on the record, from the engine's own outputs.
    fn keep(&mut self, task: Task, fetched: Fetched) -> Result<()> {
        match fetched {
            Fetched::Gradients { loss, gradients } => {
                self.record.insert("training_loss".into(), finite(loss));
                if let Some(path) = &self.job.gradients {
                    let named = gradients.into_iter().map(|(name, array)| (name, Input::Float(array)));
                    save(path, &named.collect())?;
                }
                return Ok(());
            }
            Fetched::Tokens(data) => {
                let tokens = Input::Integer { shape: vec![data.len()], data };
                self.outputs.insert("decode.tokens".into(), tokens);
            }
            Fetched::Output(array) => {
                if task == Task::Inference {
                    self.record.insert("loss".into(), self.loss(&array));
                }
                self.outputs.insert(format!("{}.output", task.name()), Input::Float(array));
            }
        }
        save(&self.job.outputs, &self.outputs)
    }

    fn loss(&self, output: &Array) -> Value {
        let computed = self.job.target().and_then(|target| loss::loss(&self.job.loss, output, &target));
        computed.map_or_else(
            |failure| {
                println!("loss not computed: {}", text(&failure)); // a wrong shape: the gate says so in full
                Value::Null
            },
            finite,
        )
    }

    /// Put on the record what is being done, so that a crash can be told apart.
    fn stage(&mut self, name: &str) {
        let compile_s = self.record["tasks"]["inference"]["compile_s"].clone();
        self.record.insert("compile_s".into(), compile_s);
        let attempts = self.job.offline.then(network::unroutable_packets).flatten();
        self.record.insert("network_attempts".into(), json!(attempts));
        self.record.insert("stage".into(), json!(name));
        self.save();
    }

    fn save(&self) {
        let part = self.job.result.with_extension("part");
        let written = serde_json::to_vec(&self.record)
            .map_err(std::io::Error::from)
            .and_then(|bytes| fs::write(&part, bytes))
            .and_then(|()| fs::rename(&part, &self.job.result));
        if let Err(error) = written {
            eprintln!("{}: {error}", self.job.result.display());
        }
    }
}

/// Tasks whose peak of memory counts from their own start.
fn own_peak(task: Task) -> bool {
    matches!(task, Task::Training | Task::Decode)
}

/// The clock that the supervisor read when it started this process.
fn monotonic_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec of our own; the call writes nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// A panic inside a framework is a failure like any other.
fn caught<T>(action: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|payload| {
        let words = payload.downcast_ref::<String>().cloned();
        let words = words.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        Err(Failure::Error(format!("panic: {}", words.unwrap_or_else(|| "no message".into()))))
    })
}

/// JSON has no NaN; the gate judges the outputs.
fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

fn text(failure: &Failure) -> String {
    match failure {
        Failure::Unsupported { why, .. } => why.clone(),
        Failure::MissingTensor(name) => name.clone(),
        Failure::Error(message) => message.clone(),
    }
}

/// Status and reason code of a failure.
fn outcome(failure: &Failure) -> Map<String, Value> {
    let (status, code) = match failure {
        Failure::Unsupported { code, .. } => ("unsupported", *code),
        Failure::MissingTensor(_) => ("failed", "missing-tensor"),
        Failure::Error(_) => ("failed", "error"),
    };
    let detail: String = text(failure).split_whitespace().collect::<Vec<_>>().join(" ");
    println!("{status}: {code}: {detail}");
    let detail: String = detail.chars().take(500).collect();
    Map::from_iter([
        ("status".into(), json!(status)),
        ("reason".into(), json!({"code": code, "detail": detail})),
    ])
}
