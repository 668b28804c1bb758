//! One of the five models, with its inputs and its target on the device.

use std::collections::BTreeMap;

use arena::architecture::Definition;
use arena::tensors::{Array, Input};
use arena::{Failure, Job, Result, Task};
use burn::nn::loss::{CrossEntropyLoss, MseLoss, Reduction};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::layers::Rotary;
use crate::weights::{Named, Weights, get, to_device, to_host};
use crate::{action_expert, llama, resnet, unet, whisper};

pub enum Model {
    Llama(llama::Llama),
    ActionExpert(action_expert::ActionExpert),
    UNet(unet::UNet),
    ResNet(resnet::ResNet),
    Whisper(whisper::Whisper),
}

impl Model {
    /// The model of the job's definition.
    pub fn new(job: &Job, weights: &Weights) -> Result<Self> {
        Ok(match Definition::of(job)? {
            Definition::Llama(config) => Self::Llama(llama::Llama::new(config, weights)?),
            Definition::ActionExpert(config) => {
                Self::ActionExpert(action_expert::ActionExpert::new(&config, weights)?)
            }
            Definition::UNet(config) => Self::UNet(unet::UNet::new(&config, weights)?),
            Definition::ResNet(config) => Self::ResNet(resnet::ResNet::new(&config, weights)?),
            Definition::Whisper(config) => Self::Whisper(whisper::Whisper::new(&config, weights)?),
        })
    }

    /// The forward pass: logits, action chunk or latent.
    pub fn forward(&self, inputs: &Inputs) -> Result<Prediction> {
        Ok(match self {
            Self::Llama(model) => {
                let rotary = inputs.rotary.as_ref().ok_or_else(|| missing("rotary tables"))?;
                model.forward(inputs.ids("input_ids")?, rotary).into()
            }
            Self::ActionExpert(model) => {
                let (actions, time) = (inputs.get("actions")?, inputs.get("time")?);
                model.forward(actions, time, inputs.get("context")?).into()
            }
            Self::UNet(model) => model.forward(inputs.get("latent")?).into(),
            Self::ResNet(model) => model.forward(inputs.get("images")?).into(),
            Self::Whisper(model) => {
                model.forward(inputs.get("input_features")?, inputs.ids("decoder_input_ids")?).into()
            }
        })
    }

    /// The task's inputs on the device; for `decode` with the rotary embedding of the new tokens as well.
    pub fn inputs(&self, job: &Job, task: Task, device: &Device) -> Result<Inputs> {
        let mut floats = BTreeMap::new();
        let mut ids: BTreeMap<String, Tensor<2, Int>> = BTreeMap::new();
        for (name, input) in job.inputs(task)? {
            match input {
                Input::Float(array) => drop(floats.insert(name, array)),
                Input::Integer { shape, data } => {
                    drop(ids.insert(name, Tensor::from_data(TensorData::new(data, shape), device)));
                }
            }
        }
        let rotary = match (self, ids.get("input_ids")) {
            (Self::Llama(model), Some(ids)) => {
                let new = if task == Task::Decode { job.cell.decode_tokens } else { 0 };
                Some(model.rotary(ids.dims()[1] + new, device))
            }
            _ => None,
        };
        Ok(Inputs { floats: to_device(floats, device), ids, rotary })
    }
}

/// Arguments of the forward pass by name, and what depends on their shapes alone.
pub struct Inputs {
    floats: Named,
    ids: BTreeMap<String, Tensor<2, Int>>,
    pub rotary: Option<Rotary>,
}

impl Inputs {
    fn get<const D: usize>(&self, name: &str) -> Result<Tensor<D>> {
        get(&self.floats, name)
    }

    /// Token ids (batch, time).
    pub fn ids(&self, name: &str) -> Result<Tensor<2, Int>> {
        self.ids.get(name).cloned().ok_or_else(|| missing(name))
    }
}

/// What a model predicts: of whatever shape, kept as rows of its last dimension.
pub struct Prediction {
    rows: Tensor<2>,
    shape: Vec<usize>,
}

impl<const D: usize> From<Tensor<D>> for Prediction {
    fn from(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims();
        let width = shape[D - 1];
        let rows = shape.iter().product::<usize>() / width;
        Self { rows: tensor.reshape([rows, width]), shape: shape.to_vec() }
    }
}

impl Prediction {
    /// Copy to the host.
    pub fn fetch(self) -> Result<Array> {
        Array::new(self.shape, to_host(self.rows)?.data)
    }
}

/// What the loss compares the prediction to.
pub enum Target {
    /// Of `cross_entropy`: a class for each row.
    Labels(Tensor<1, Int>),
    /// Of `mse`.
    Values(Tensor<2>),
}

impl Target {
    /// The target of the job's loss, on the device.
    pub fn new(job: &Job, device: &Device) -> Result<Self> {
        match job.target()? {
            Input::Integer { data, .. } if job.cell.loss == "cross_entropy" => {
                Ok(Self::Labels(Tensor::from_data(data.as_slice(), device)))
            }
            Input::Float(array) if job.cell.loss == "mse" => {
                let width = array.shape.last().copied().unwrap_or(1);
                let shape = [array.data.len() / width, width];
                Ok(Self::Values(Tensor::from_data(TensorData::new(array.data, shape), device)))
            }
            _ => Err(Failure::Error(format!("the target does not suit the loss {}", job.cell.loss))),
        }
    }

    /// Mean cross entropy over the rows, or mean square over the elements: (1,).
    pub fn loss(&self, prediction: Prediction) -> Tensor<1> {
        let rows = prediction.rows;
        match self {
            Self::Labels(labels) => CrossEntropyLoss::new(None, &rows.device()).forward(rows, labels.clone()),
            Self::Values(values) => MseLoss::new().forward(rows, values.clone(), Reduction::Mean),
        }
    }
}

fn missing(name: &str) -> Failure {
    Failure::MissingTensor(format!("the workload has no {name}"))
}
