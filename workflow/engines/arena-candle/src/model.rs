//! One of the five models, with its inputs on the device.

use std::collections::{BTreeMap, HashMap};

use arena::architecture::Definition;
use arena::tensors::Input;
use arena::{Job, Task};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use crate::layers::Form;
use crate::{action_expert, llama, resnet, unet, whisper};

#[expect(clippy::large_enum_variant, reason = "a process has one")]
pub enum Model {
    Llama(llama::Llama),
    ActionExpert(action_expert::ActionExpert),
    UNet(unet::UNet),
    ResNet(resnet::ResNet),
    Whisper(whisper::Whisper),
}

impl Model {
    /// The model of the job's definition, on the tensors of `weights`.
    pub fn build(
        job: &Job,
        weights: &HashMap<String, Tensor>,
        device: &Device,
        form: Form,
    ) -> arena::Result<Self> {
        let vb = VarBuilder::from_tensors(weights.clone(), DType::F32, device);
        Ok(match Definition::of(job)? {
            Definition::Llama(config) => Self::Llama(llama::Llama::new(config, &vb, form)?),
            Definition::ActionExpert(config) => {
                Self::ActionExpert(action_expert::ActionExpert::new(&config, &vb, form)?)
            }
            Definition::UNet(config) => Self::UNet(unet::UNet::new(&config, &vb, form)?),
            Definition::ResNet(config) => Self::ResNet(resnet::ResNet::new(&config, &vb, form)?),
            Definition::Whisper(config) => Self::Whisper(whisper::Whisper::new(&config, &vb, form)?),
        })
    }

    /// The output of the forward pass: logits, action chunk or latent.
    pub fn forward(&self, inputs: &Inputs) -> candle_core::Result<Tensor> {
        let input = |name: &str| inputs.tensors.get(name).ok_or_else(|| missing(name));
        match self {
            Self::Llama(model) => {
                let tables = inputs.rope.as_ref().ok_or_else(|| missing("rotary tables"))?;
                model.forward(input("input_ids")?, tables)
            }
            Self::ActionExpert(model) => model.forward(input("actions")?, input("time")?, input("context")?),
            Self::UNet(model) => model.forward(input("latent")?),
            Self::ResNet(model) => model.forward(input("images")?),
            Self::Whisper(model) => model.forward(input("input_features")?, input("decoder_input_ids")?),
        }
    }

    /// The task's inputs on the device.
    pub fn inputs(&self, job: &Job, task: Task, device: &Device) -> arena::Result<Inputs> {
        let tensors = job
            .inputs(task)?
            .into_iter()
            .map(|(name, input)| Ok((name, to_device(&input, device)?)))
            .collect::<arena::Result<BTreeMap<_, _>>>()?;
        let rope = match (self, tensors.get("input_ids")) {
            (Self::Llama(model), Some(ids)) => Some(model.rope_tables(0, ids.dim(1)?, device)?),
            _ => None,
        };
        Ok(Inputs { tensors, rope })
    }
}

/// Arguments of the forward pass by name, and what depends on their shapes alone.
pub struct Inputs {
    pub tensors: BTreeMap<String, Tensor>,
    pub rope: Option<(Tensor, Tensor)>,
}

/// Integers become u32: Candle's type of indices.
pub fn to_device(input: &Input, device: &Device) -> arena::Result<Tensor> {
    Ok(match input {
        Input::Float(array) => Tensor::from_slice(&array.data, array.shape.as_slice(), device)?,
        Input::Integer { shape, data } => {
            let indices: Vec<u32> = data.iter().map(|&id| u32::try_from(id)).collect::<Result<_, _>>()?;
            Tensor::from_vec(indices, shape.as_slice(), device)?
        }
    })
}

fn missing(name: &str) -> candle_core::Error {
    candle_core::Error::Msg(format!("the workload has no {name}")).bt()
}
