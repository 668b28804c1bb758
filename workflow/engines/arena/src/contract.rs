//! The records that an engine shares with the arena: the job it reads, the measurement it writes.
//!
//! Key by key those of `workflow/scripts/arena/contract/cell.py` and `measured.py`, where each is described; a
//! test holds both to the schemas in `workflow/schemas/`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is timed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Inference,
    Latency,
    Decode,
    Training,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Latency => "latency",
            Self::Training => "training",
            Self::Decode => "decode",
        }
    }
}

/// Why something did not work, or is not done.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    pub code: String,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    pub min_iterations: usize,
    pub min_seconds: f64,
    pub max_seconds: f64,
    pub window: usize,
    pub tolerance: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    pub min_iterations: usize,
    pub min_seconds: f64,
    pub max_seconds: f64,
}

/// What is measured, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    pub tasks: Vec<Task>,
    pub warmup: Warmup,
    pub sampling: Sampling,
    pub exclusive: bool,
    pub offline: bool,
    pub seed: i64,
    pub energy_seconds: Option<f64>,
    pub node: Option<String>,
}

/// Everything that decides a cell's figures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    pub platform: String,
    pub model: String,
    pub row: String,
    pub framework: String,
    pub lane: String,
    pub accelerator: String,
    pub interface: String,
    pub definition: String,
    pub loss: String,
    pub options: BTreeMap<String, Value>,
    pub environment: BTreeMap<String, String>,
    pub distribution: String,
    pub libraries: Vec<String>,
    pub threads: usize,
    pub decode_tokens: usize,
    pub protocol: Protocol,
    pub unsupported: Option<Reason>,
    pub unsupported_tasks: BTreeMap<Task, Reason>,
    /// Never asked of an engine.
    pub predicts: bool,
}

/// Where a round's files are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    pub weights: PathBuf,
    pub config: PathBuf,
    pub inputs: PathBuf,
    pub cache: PathBuf,
    pub result: PathBuf,
    pub outputs: PathBuf,
    pub gradients: Option<PathBuf>,
    pub export: Option<PathBuf>,
    pub decode_export: Option<PathBuf>,
    pub adapter: Option<PathBuf>,
    pub program: Option<PathBuf>,
    pub build: Option<PathBuf>,
    pub first: Option<PathBuf>,
}

/// One round of a cell. Its methods are in `job.rs`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    pub cell: Cell,
    pub round: u32,
    pub files: Files,
    pub offline: bool,
}

#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Ok,
    Failed,
    Unsupported,
}

/// What a GPU consumed while inference repeated.
#[derive(Clone, Copy, Debug, Serialize, PartialEq)]
pub struct Energy {
    pub joules: f64,
    pub seconds: f64,
    pub iterations: u64,
}

/// One task in one process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measurement {
    pub status: Status,
    pub reason: Option<Reason>,
    pub compile_s: Option<f64>,
    pub warmup_ns: Option<Vec<u64>>,
    pub steady: Option<bool>,
    pub samples_ns: Option<Vec<u64>>,
    pub device_ns: Option<Vec<u64>>,
    pub energy: Option<Energy>,
    pub first_token_ns: Option<Vec<u64>>,
    pub prompt_tokens: Option<usize>,
    pub new_tokens: Option<usize>,
}

/// Bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    pub baseline_bytes: Option<u64>,
    pub inference_peak_bytes: Option<u64>,
    pub decode_peak_bytes: Option<u64>,
    pub training_peak_bytes: Option<u64>,
    pub device_inference_peak_bytes: Option<u64>,
    pub device_latency_peak_bytes: Option<u64>,
    pub device_decode_peak_bytes: Option<u64>,
    pub device_training_peak_bytes: Option<u64>,
}

impl Memory {
    /// Whether this task's peak counts from its own start; the others' is counted as that of inference.
    pub fn own_peak(task: Task) -> bool {
        matches!(task, Task::Training | Task::Decode)
    }

    /// The largest peaks so far, of the host and, where the engine counts, of the device.
    pub fn note(&mut self, task: Task, host: u64, device: Option<u64>) {
        let peak = match task {
            Task::Inference | Task::Latency => &mut self.inference_peak_bytes,
            Task::Decode => &mut self.decode_peak_bytes,
            Task::Training => &mut self.training_peak_bytes,
        };
        *peak = Some(host.max(peak.unwrap_or(0)));
        match task {
            Task::Inference => self.device_inference_peak_bytes = device,
            Task::Latency => self.device_latency_peak_bytes = device,
            Task::Decode => self.device_decode_peak_bytes = device,
            Task::Training => self.device_training_peak_bytes = device,
        }
    }
}

/// What the process has measured so far.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub status: Status,
    pub stage: &'static str,
    pub reason: Option<Reason>,
    pub version: Option<String>,
    pub backend: Option<String>,
    pub device: Option<String>,
    pub threads_reported: Option<usize>,
    pub import_s: Option<f64>,
    pub load_s: Option<f64>,
    pub compile_s: Option<f64>,
    pub first_output_monotonic_s: Option<f64>,
    pub network_attempts: Option<u64>,
    pub loss: Option<f64>,
    pub training_loss: Option<f64>,
    pub memory: Memory,
    pub tasks: BTreeMap<Task, Measurement>,
}

impl Measured {
    /// Nothing yet.
    pub fn begun() -> Self {
        Self {
            status: Status::Ok,
            stage: "import",
            reason: None,
            version: None, // the build's record has it
            backend: None,
            device: None,
            threads_reported: None,
            import_s: None,
            load_s: None,
            compile_s: None,
            first_output_monotonic_s: None,
            network_attempts: None,
            loss: None,
            training_loss: None,
            memory: Memory::default(),
            tasks: BTreeMap::new(),
        }
    }
}
