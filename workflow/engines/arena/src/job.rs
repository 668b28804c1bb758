//! The job file: one cell's work, as the supervisor hands it to the measuring process.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::protocol::Limits;
use crate::tensors::{File, Input};
use crate::{Failure, Result};

/// What is timed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Inference,
    Latency,
    Training,
    Decode,
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

/// The fields of `job.json` that an engine or the record needs; the others are Python's.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// `model.safetensors`
    pub weights: PathBuf,
    /// `config.json`
    pub config: PathBuf,
    /// `inputs.safetensors`
    pub inputs: PathBuf,
    /// Where the record, the outputs and (in round 1) the gradients go.
    pub result: PathBuf,
    pub outputs: PathBuf,
    pub gradients: Option<PathBuf>,
    pub cache: PathBuf,
    pub definition: String,
    pub loss: String,
    pub lane: String,
    /// The device: `cpu`, `cuda`, `rocm`, `metal`, `xpu` or `vulkan`, whatever the interface to it.
    pub accelerator: String,
    pub threads: usize,
    #[serde(default)]
    pub options: BTreeMap<String, Value>,
    pub tasks: Vec<Task>,
    pub protocol: Limits,
    /// Whether the process is cut off from the network, so that attempts can be counted.
    #[serde(default)]
    pub offline: bool,
    /// How many tokens `decode` generates.
    #[serde(default)]
    pub decode_tokens: usize,
}

impl Job {
    /// Read the job file.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Error(format!("{}: {error}", path.display())))?;
        serde_json::from_str(&text).map_err(|error| Failure::Error(format!("{}: {error}", path.display())))
    }

    /// The model's `config.json` as the type that the engine reads it into.
    pub fn architecture<T: for<'a> Deserialize<'a>>(&self) -> Result<T> {
        let text = std::fs::read_to_string(&self.config)?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::Error(format!("{}: {error}", self.config.display())))
    }

    /// Arguments of the forward pass by name; training runs on the inference inputs. For `decode`:
    /// `input_ids`, the prompt.
    pub fn inputs(&self, task: Task) -> Result<BTreeMap<String, Input>> {
        let prefix = match task {
            Task::Training => "inference.".to_string(),
            other => format!("{}.", other.name()),
        };
        let all = File::open(&self.inputs)?.inputs()?;
        Ok(all
            .into_iter()
            .filter_map(|(name, input)| Some((name.strip_prefix(&prefix)?.to_string(), input)))
            .collect())
    }

    /// Labels (integers) or regression target (float32) of the loss.
    pub fn target(&self) -> Result<Input> {
        File::open(&self.inputs)?
            .inputs()?
            .remove("target")
            .ok_or_else(|| Failure::MissingTensor(format!("{}: no target", self.inputs.display())))
    }
}
