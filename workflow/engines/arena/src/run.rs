//! Measure one cell once, in this process: the counterpart of `workflow/scripts/measure.py`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{ExitCode, exit};
use std::time::Instant;
use std::{env, fs};

use crate::contract::{Energy, Measured, Measurement, Memory, Reason, Status};
use crate::nvml::Card;
use crate::tensors::{Array, Input, save};
use crate::{Engine, Failure, Fetched, Job, Result, Task, loss, memory, network, protocol};

/// The exit status of a process whose own files cannot be written: `EXIT` of `workflow/scripts/arena/storage.py`.
const STORAGE: i32 = 74;

/// The whole program: `--job JOB.json`. What goes wrong is recorded; only an unreadable job is an error.
pub fn main<E: Engine>() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [flag, path] = arguments.as_slice() else {
        eprintln!(
            "usage: {} --job JOB.json (benchmark.py --keep-job writes such a file, job.schema.json describes it)",
            program()
        );
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
    Process::new(job).run::<E>();
    ExitCode::SUCCESS
}

fn program() -> String {
    env::args().next().unwrap_or_else(|| "engine".into())
}

/// One round of one cell; `record` is what the supervisor reads.
struct Process {
    job: Job,
    record: Measured,
    outputs: BTreeMap<String, Input>,
}

impl Process {
    fn new(job: Job) -> Self {
        Self { job, record: Measured::begun(), outputs: BTreeMap::new() }
    }

    /// Measure every task that the job asks for; failures are recorded, never raised.
    fn run<E: Engine>(mut self) {
        let mut engine = match caught(|| self.start::<E>()) {
            Ok(engine) => engine,
            Err(failure) => {
                (self.record.status, self.record.reason) = outcome(&failure);
                self.save();
                return;
            }
        };
        for task in self.job.cell.protocol.tasks.clone() {
            self.stage(task.name());
            let measured = caught(|| self.measure(&mut engine, task));
            let failed = measured.is_err();
            let entry = measured.unwrap_or_else(|failure| {
                let (status, reason) = outcome(&failure);
                Measurement { status, reason, ..Measurement::default() }
            });
            if failed && task == Task::Inference {
                // Nothing else means anything without it.
                (self.record.status, self.record.reason) = (entry.status, entry.reason.clone());
            }
            self.record.tasks.insert(task, entry);
            if failed && task == Task::Inference {
                break;
            }
        }
        self.record.threads_reported = engine.describe().threads;
        self.stage("done");
    }

    /// Build the engine, load the weights.
    fn start<E: Engine>(&mut self) -> Result<E> {
        self.stage("load");
        let mut engine = E::new(&self.job)?;
        let about = engine.describe();
        self.record.backend = Some(about.backend);
        self.record.device = Some(about.device);
        memory::reset_peak();
        self.record.memory.baseline_bytes = Some(memory::resident_bytes());
        let begin = Instant::now();
        engine.load()?;
        self.record.load_s = Some(begin.elapsed().as_secs_f64());
        Ok(engine)
    }

    /// Compile and time one task, then fetch and store what it computed.
    fn measure<E: Engine>(&mut self, engine: &mut E, task: Task) -> Result<Measurement> {
        if Memory::own_peak(task) {
            memory::reset_peak();
        }
        let begin = Instant::now();
        engine.prepare(task)?;
        drop(engine.run(task)?);
        let compile_s = begin.elapsed().as_secs_f64();
        if task == Task::Inference {
            self.record.first_output_monotonic_s = Some(monotonic_seconds());
        }
        println!("{}: first result after {compile_s:.2} s", task.name());

        let shared = RefCell::new(engine);
        let timing = protocol::measure(
            || shared.borrow_mut().run(task),
            &self.job.cell.protocol,
            || begin.elapsed().as_nanos() as u64,
            |output| (E::first_token_ns(output), shared.borrow().device_ns()),
        )?;
        let engine = shared.into_inner();
        self.record.memory.note(task, memory::peak_bytes(), engine.device_peak_bytes());
        println!("{}: {} samples", task.name(), timing.samples_ns.len());

        let (first_token_ns, device_ns): (Vec<_>, Vec<_>) = timing.observed.into_iter().unzip();
        let mut entry = Measurement {
            compile_s: Some(compile_s),
            warmup_ns: Some(timing.warmup_ns),
            steady: Some(timing.steady),
            samples_ns: Some(timing.samples_ns),
            device_ns: device_ns.into_iter().collect(),
            ..Measurement::default()
        };
        if task == Task::Decode {
            let prompt = self.job.inputs(task)?.remove("input_ids");
            entry.first_token_ns = first_token_ns.into_iter().collect();
            entry.prompt_tokens = Some(prompt.map_or(0, |ids| ids.shape().iter().product()));
            entry.new_tokens = Some(self.job.cell.decode_tokens);
        }
        let fetched = engine.fetch(task, timing.result)?;
        self.keep(task, fetched)?;
        if task == Task::Inference {
            entry.energy = self.energy(engine)?;
        }
        Ok(entry)
    }

    /// Energy of further, untimed iterations, where the protocol asks and the GPU counts it.
    fn energy<E: Engine>(&self, engine: &mut E) -> Result<Option<Energy>> {
        let Some(seconds) = self.job.cell.protocol.energy_seconds else { return Ok(None) };
        let card = if self.job.cell.accelerator == "cuda" { Card::open() } else { None };
        let Some((card, first)) = card.and_then(|card| card.energy_mj().map(|first| (card, first))) else {
            return Ok(None);
        };
        let (begin, mut iterations) = (Instant::now(), 0);
        while iterations == 0 || begin.elapsed().as_secs_f64() < seconds {
            drop(engine.run(Task::Inference)?);
            iterations += 1;
        }
        let elapsed = begin.elapsed().as_secs_f64();
        Ok(card.energy_mj().map(|last| Energy {
            joules: (last - first) as f64 / 1000.0,
            seconds: elapsed,
            iterations,
        }))
    }

    /// Write the outputs; put the loss on the record, from the engine's own outputs.
    fn keep(&mut self, task: Task, fetched: Fetched) -> Result<()> {
        match fetched {
            Fetched::Gradients { loss, gradients } => {
                self.record.training_loss = finite(loss);
                if let Some(path) = &self.job.files.gradients {
                    let named = gradients.into_iter().map(|(name, array)| (name, Input::Float(array)));
                    save_own(path, &named.collect())?;
                }
                return Ok(());
            }
            Fetched::Tokens(data) => {
                let tokens = Input::Integer { shape: vec![data.len()], data };
                self.outputs.insert("decode.tokens".into(), tokens);
            }
            Fetched::Output(array) => {
                if task == Task::Inference {
                    self.record.loss = self.loss(&array);
                }
                self.outputs.insert(format!("{}.output", task.name()), Input::Float(array));
            }
        }
        save_own(&self.job.files.outputs, &self.outputs)
    }

    fn loss(&self, output: &Array) -> Option<f64> {
        let computed = self.job.target().and_then(|target| loss::loss(&self.job.cell.loss, output, &target));
        computed.map_or_else(
            |failure| {
                println!("loss not computed: {}", text(&failure)); // a wrong shape: the gate says so in full
                None
            },
            finite,
        )
    }

    /// Put on the record what is being done, so that a crash can be told apart.
    fn stage(&mut self, name: &'static str) {
        self.record.compile_s = self.record.tasks.get(&Task::Inference).and_then(|task| task.compile_s);
        self.record.network_attempts = self.job.offline.then(network::unroutable_packets).flatten();
        self.record.stage = name;
        self.save();
    }

    fn save(&self) {
        let result = &self.job.files.result;
        let part = result.with_extension("part");
        let written = serde_json::to_vec(&self.record)
            .map_err(std::io::Error::from)
            .and_then(|bytes| fs::write(&part, bytes))
            .and_then(|()| fs::rename(&part, result));
        if let Err(error) = written {
            eprintln!("{}: {error}", result.display());
            exit(STORAGE);
        }
    }
}

/// Write tensors of the arena's own. What the system does not write is no failure of the engine's: the process ends
/// with `STORAGE`, and nothing is recorded.
fn save_own(path: &Path, arrays: &BTreeMap<String, Input>) -> Result<()> {
    let saved = save(path, arrays);
    if let Err(failure) = &saved
        && text(failure).contains("(os error ")
    {
        eprintln!("{}: {}", path.display(), text(failure));
        exit(STORAGE);
    }
    saved
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
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn text(failure: &Failure) -> String {
    match failure {
        Failure::Unsupported { why, .. } => why.clone(),
        Failure::MissingTensor(name) => name.clone(),
        Failure::Error(message) => message.clone(),
    }
}

/// Status and reason of a failure.
fn outcome(failure: &Failure) -> (Status, Option<Reason>) {
    let (status, code) = match failure {
        Failure::Unsupported { code, .. } => (Status::Unsupported, *code),
        Failure::MissingTensor(_) => (Status::Failed, "missing-tensor"),
        Failure::Error(_) => (Status::Failed, "error"),
    };
    let detail: String = text(failure).split_whitespace().collect::<Vec<_>>().join(" ");
    println!("{status:?}: {code}: {detail}");
    let detail = detail.chars().take(500).collect();
    (status, Some(Reason { code: code.into(), detail }))
}
