//! What a job's files hold.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::contract::{Job, Task};
use crate::tensors::{File, Input};
use crate::{Failure, Result};

impl Job {
    /// Read the job file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Error(format!("{}: {error}", path.display())))?;
        serde_json::from_str(&text).map_err(|error| Failure::Error(format!("{}: {error}", path.display())))
    }

    /// The model's `config.json` as the type that the engine reads it into.
    pub fn architecture<T: for<'a> Deserialize<'a>>(&self) -> Result<T> {
        let text = std::fs::read_to_string(&self.files.config)?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::Error(format!("{}: {error}", self.files.config.display())))
    }

    /// Arguments of the forward pass by name; training runs on the inference inputs. For `decode`:
    /// `input_ids`, the prompt.
    pub fn inputs(&self, task: Task) -> Result<BTreeMap<String, Input>> {
        let prefix = match task {
            Task::Training => "inference.".to_string(),
            other => format!("{}.", other.name()),
        };
        let all = File::open(&self.files.inputs)?.inputs()?;
        Ok(all
            .into_iter()
            .filter_map(|(name, input)| Some((name.strip_prefix(&prefix)?.to_string(), input)))
            .collect())
    }

    /// Labels (integers) or regression target (float32) of the loss.
    pub fn target(&self) -> Result<Input> {
        File::open(&self.files.inputs)?
            .inputs()?
            .remove("target")
            .ok_or_else(|| Failure::MissingTensor(format!("{}: no target", self.files.inputs.display())))
    }
}
