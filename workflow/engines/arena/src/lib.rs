//! What the engines share: the job file, the timing protocol, tensors in and out, the record of a cell.
//!
//! An engine is a program that implements [`Engine`] and calls [`main`]. It does what
//! `workflow/scripts/measure.py` does for the frameworks of Python: the supervisor starts it with
//! `--job JOB.json`, and reads the same files from both.

pub mod architecture;
pub mod contract;
mod job;
pub mod loss;
pub mod memory;
pub mod network;
mod nvml;
pub mod protocol;
mod run;
pub mod tensors;
pub mod vulkan;

pub use contract::{Job, Task};
pub use run::main;

/// Why something did not work; the codes are those of docs/design.md, "Reason codes".
#[derive(Debug)]
pub enum Failure {
    /// The engine cannot do this, and that is an answer: shown as — with its reason.
    Unsupported { code: &'static str, why: String },
    /// A file lacks a tensor that the architecture needs.
    MissingTensor(String),
    /// Anything else; the text goes to the report.
    Error(String),
}

impl Failure {
    /// The engine cannot do this: `code` is a reason code, `why` one sentence for the reader.
    pub fn unsupported(code: &'static str, why: impl Into<String>) -> Self {
        Self::Unsupported { code, why: why.into() }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::Error(text)
    }
}

pub type Result<T> = std::result::Result<T, Failure>;

/// What an engine says of itself; its version is on the record of its build.
#[derive(Clone)]
pub struct Description {
    /// What computes, for example `CPU, gemm 0.18` or `Vulkan, llvmpipe`.
    pub backend: String,
    pub device: String,
    /// Threads, as the engine reports them; none where it does not say.
    pub threads: Option<usize>,
}

/// What an iteration computed, on the host.
pub enum Fetched {
    /// Of `inference` and `latency`.
    Output(tensors::Array),
    /// Of `training`: the loss, and gradients by weight name in the checkpoint's layouts.
    Gradients { loss: f64, gradients: Vec<(String, tensors::Array)> },
    /// Of `decode`: the new token ids.
    Tokens(Vec<i64>),
}

/// A framework, driven the way its own users drive it: `frameworks/base.py` in Rust.
pub trait Engine: Sized {
    /// The result of one iteration, on the device.
    type Output;

    /// Configure threads, device and precision.
    fn new(job: &Job) -> Result<Self>;

    fn describe(&self) -> Description;

    /// Bring the weights from disk to host memory. Timed as `load_s`.
    fn load(&mut self) -> Result<()>;

    /// Build and compile a task; inputs and weights are on the device afterwards.
    fn prepare(&mut self, task: Task) -> Result<()>;

    /// Run one iteration of the task that was prepared last; return when its result is materialised.
    fn run(&mut self, task: Task) -> Result<Self::Output>;

    /// Copy a result to the host.
    fn fetch(&mut self, task: Task, output: Self::Output) -> Result<Fetched>;

    /// For `decode`: nanoseconds from the start of the iteration until its first new token was known.
    fn first_token_ns(_output: &Self::Output) -> Option<u64> {
        None
    }

    /// Nanoseconds of the latest iteration by the device's own clock; none where there is none.
    fn device_ns(&self) -> Option<u64> {
        None
    }

    /// The most device memory that this engine has held at once in this process, by its own count; none where
    /// it does not count, and on a CPU.
    fn device_peak_bytes(&self) -> Option<u64> {
        None
    }
}
