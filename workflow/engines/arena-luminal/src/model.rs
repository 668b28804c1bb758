//! One of the models that Luminal's release can express, and its program for a task.

use arena::architecture::Definition;
use arena::tensors::Input;
use arena::{Failure, Job, Result, Task};

use crate::images::Images;
use crate::llama::Logits;
use crate::program::{Builder, Matrix, Program};
use crate::weights::Weights;
use crate::{action_expert, llama, resnet, unet, whisper};

pub enum Model {
    Llama(llama::Config),
    ActionExpert(action_expert::Config),
    UNet(unet::Config),
    ResNet(resnet::Config),
    Whisper(whisper::Config),
}

impl Model {
    /// The model of the job's definition.
    pub fn of(job: &Job) -> Result<Self> {
        Ok(match Definition::of(job)? {
            Definition::Llama(config) => Self::Llama(llama::Config(config)),
            Definition::ActionExpert(config) => Self::ActionExpert(action_expert::Config(config)),
            Definition::UNet(config) => Self::UNet(unet::Config(config)),
            Definition::ResNet(config) => Self::ResNet(resnet::Config(config)),
            Definition::Whisper(config) => Self::Whisper(whisper::Config(config)),
        })
    }

    /// Bring the weights into the pieces that the programs use.
    pub fn split(&self, weights: &mut Weights) -> Result<()> {
        match self {
            Self::Llama(config) => config.split(weights),
            Self::ActionExpert(config) => config.split(weights),
            Self::UNet(_) => unet::Config::split(weights),
            Self::ResNet(config) => config.split(weights),
            Self::Whisper(config) => config.split(weights),
        }
    }

    /// The compiled forward pass on the task's inputs, and the shape of its output.
    pub fn program(&self, job: &Job, task: Task, weights: &Weights) -> Result<(Program, Vec<usize>)> {
        let inputs = job.inputs(task)?;
        let input = |name: &str| inputs.get(name).ok_or_else(|| missing(name));
        let mut cx = Builder::new(weights);
        let (outputs, shape) = match self {
            Self::Llama(config) => {
                let (time, ids) = text(input("input_ids")?)?;
                let rotary = config.rotary(&mut cx, time)?;
                let ids = cx.input("input_ids", &[time], ids)?;
                let outputs = config.forward(&mut cx, ids, &rotary, None, Logits::All)?;
                (vec![outputs[0]], vec![1, time, config.vocab_size])
            }
            Self::ActionExpert(config) => {
                let actions = input("actions")?;
                let [noisy, time, context] = [
                    matrix(&mut cx, actions)?,
                    matrix(&mut cx, input("time")?)?,
                    matrix(&mut cx, input("context")?)?,
                ];
                (vec![config.forward(&mut cx, noisy, time, context)?], actions.shape().to_vec())
            }
            Self::UNet(config) => {
                let latent = input("latent")?;
                let images = Images::input(&mut cx, latent.float()?)?;
                (vec![config.forward(&mut cx, images)?.output()], latent.shape().to_vec())
            }
            Self::ResNet(config) => {
                let images = Images::input(&mut cx, input("images")?.float()?)?;
                let batch = images.batch;
                (vec![config.forward(&mut cx, images)?], vec![batch, config.num_classes])
            }
            Self::Whisper(config) => {
                let (time, ids) = text(input("decoder_input_ids")?)?;
                let ids = cx.input("decoder_input_ids", &[time], ids)?;
                let features = matrix(&mut cx, input("input_features")?)?;
                (vec![config.forward(&mut cx, features, ids)?], vec![1, time, config.vocab_size])
            }
        };
        Ok((cx.finish(outputs)?, shape))
    }
}

/// The token ids of a batch of one, as the float32 numbers that Luminal computes in, and their count.
pub fn text(ids: &Input) -> Result<(usize, Vec<f32>)> {
    alone(ids.shape())?;
    let ids = ids.integers()?;
    Ok((ids.len(), ids.iter().map(|&id| id as f32).collect()))
}

/// An input (1, rows, columns) as a matrix.
fn matrix(cx: &mut Builder, input: &Input) -> Result<Matrix> {
    let array = input.float()?;
    alone(&array.shape)?;
    cx.input("input", &array.shape[1..], array.data.clone())
}

/// Fails unless the batch is one: a second sequence would have to be kept out of the first one's attention.
fn alone(shape: &[usize]) -> Result<()> {
    match shape {
        [1, ..] => Ok(()),
        _ => Err(Failure::unsupported(
            "unsupported-model",
            format!("inputs of shape {shape:?}; only batches of one"),
        )),
    }
}

fn missing(name: &str) -> Failure {
    Failure::Error(format!("the workload has no {name}"))
}
