//! The arena's workloads in Burn: every model forward and backward, and greedy decoding with a KV cache.
//!
//! The program of this crate computes on Flex, the ones in `burn-wgpu/` and `burn-cuda/` on Vulkan and CUDA.

mod action_expert;
mod conv;
#[cfg(feature = "cubecl")]
pub mod kernels;
mod layers;
mod llama;
mod model;
mod resnet;
mod unet;
mod weights;
mod whisper;

use std::marker::PhantomData;
use std::time::Instant;

use arena::tensors::File;
use arena::{Description, Engine, Failure, Fetched, Job, Result, Task};
use burn::tensor::{Device, Gradients, Tensor};

use crate::model::{Inputs, Model, Prediction, Target};
use crate::weights::{Leaves, Named, Weights, to_device};

/// What Burn computes on.
pub trait Backend {
    /// Open the device of the job's accelerator, with the job's threads; what there is to say of it. Fails
    /// with `no-device` where there is none.
    fn open(job: &Job) -> Result<(Device, Description)>;
}

/// Burn on one of its backends.
pub struct Burn<B> {
    job: Job,
    device: Device,
    description: Description,
    weights: Named,
    /// The model without gradients, which inference, latency and decode share.
    inference: Option<Model>,
    inputs: Option<Inputs>,
    training: Option<Training>,
    backend: PhantomData<B>,
}

struct Training {
    model: Model,
    leaves: Leaves,
    target: Target,
}

/// The result of one iteration.
pub enum Output {
    Prediction(Prediction),
    Gradients { loss: Tensor<1>, gradients: Gradients },
    Tokens { tokens: Vec<i64>, first_token_ns: u64 },
}

impl<B: Backend> Engine for Burn<B> {
    type Output = Output;

    fn new(job: &Job) -> Result<Self> {
        let (device, description) = B::open(job)?;
        Ok(Self {
            job: job.clone(),
            device,
            description,
            weights: Named::new(),
            inference: None,
            inputs: None,
            training: None,
            backend: PhantomData,
        })
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn load(&mut self) -> Result<()> {
        self.weights = to_device(File::open(&self.job.files.weights)?.arrays()?, &self.device);
        self.device.sync()?;
        Ok(())
    }

    fn prepare(&mut self, task: Task) -> Result<()> {
        let model = if task == Task::Training {
            // From here on the weights are needed as leaves only.
            self.inference = None;
            let leaves = Leaves::default();
            let model = Model::new(&self.job, &Weights::new(&self.weights, Some(&leaves)))?;
            let target = Target::new(&self.job, &self.device)?;
            &self.training.insert(Training { model, leaves, target }).model
        } else {
            self.training = None;
            let model = match self.inference.take() {
                Some(model) => model,
                None => Model::new(&self.job, &Weights::new(&self.weights, None))?,
            };
            self.inference.insert(model)
        };
        self.inputs = Some(model.inputs(&self.job, task, &self.device)?);
        self.device.sync()?;
        Ok(())
    }

    fn run(&mut self, task: Task) -> Result<Output> {
        let inputs = self.inputs.as_ref().ok_or_else(|| unprepared(task))?;
        let output = match (task, &self.training, &self.inference) {
            (Task::Training, Some(training), _) => training.step(inputs)?,
            (Task::Decode, _, Some(Model::Llama(model))) => {
                generate(model, inputs, self.job.cell.decode_tokens, &self.device)?
            }
            (Task::Decode, ..) => {
                return Err(Failure::unsupported("unsupported-model", "only a language model decodes"));
            }
            (_, _, Some(model)) => Output::Prediction(model.forward(inputs)?),
            _ => return Err(unprepared(task)),
        };
        self.device.sync()?;
        Ok(output)
    }

    fn fetch(&mut self, _task: Task, output: Output) -> Result<Fetched> {
        Ok(match output {
            Output::Prediction(prediction) => Fetched::Output(prediction.fetch()?),
            Output::Tokens { tokens, .. } => Fetched::Tokens(tokens),
            Output::Gradients { loss, gradients } => {
                let training = self.training.as_ref().ok_or_else(|| unprepared(Task::Training))?;
                Fetched::Gradients {
                    loss: loss.try_into_scalar::<f64>()?,
                    gradients: training.leaves.gradients(&gradients)?,
                }
            }
        })
    }

    fn first_token_ns(output: &Output) -> Option<u64> {
        match output {
            Output::Tokens { first_token_ns, .. } => Some(*first_token_ns),
            _ => None,
        }
    }
}

impl Training {
    /// Forward, loss, and the gradient of every weight.
    fn step(&self, inputs: &Inputs) -> Result<Output> {
        let loss = self.target.loss(self.model.forward(inputs)?);
        let gradients = loss.backward();
        Ok(Output::Gradients { loss, gradients })
    }
}

/// Feed the prompt, then pick the highest logit `count` times.
fn generate(model: &llama::Llama, inputs: &Inputs, count: usize, device: &Device) -> Result<Output> {
    let begin = Instant::now();
    let rotary = inputs.rotary.as_ref().ok_or_else(|| unprepared(Task::Decode))?;
    let prompt = inputs.ids("input_ids")?;
    let length = prompt.dims()[1];
    let mut cache = model.cache(length + count);
    let highest = |logits: Tensor<3>| logits.argmax(2).try_into_scalar::<i64>();
    let mut tokens = vec![highest(model.step(prompt, &rotary.narrow(0, length), &mut cache))?];
    let first_token_ns = begin.elapsed().as_nanos() as u64;
    while let Some(&last) = tokens.last()
        && tokens.len() < count
    {
        let rotary = rotary.narrow(length + tokens.len() - 1, 1);
        let id = Tensor::from_data([[last]], device);
        tokens.push(highest(model.step(id, &rotary, &mut cache))?);
    }
    Ok(Output::Tokens { tokens, first_token_ns })
}

fn unprepared(task: Task) -> Failure {
    Failure::Error(format!("{} was not prepared", task.name()))
}
