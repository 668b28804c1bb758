//! The arena's workloads in Candle: every model forward and backward, and greedy decoding with a KV cache.

mod action_expert;
mod layers;
mod llama;
mod model;
mod resnet;
mod unet;
mod whisper;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Instant;

use arena::tensors::Array;
use arena::{Description, Engine, Failure, Fetched, Job, Result, Task};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::loss;

use crate::layers::Form;
use crate::model::{Inputs, Model, to_device};

/// Statistics of batch normalisation: constants of the model, not weights.
const CONSTANTS: [&str; 2] = ["running_mean", "running_var"];

struct Candle {
    job: Job,
    device: Device,
    weights: HashMap<String, Tensor>,
    /// The model without gradients, which inference, latency and decode share.
    inference: Option<Model>,
    inputs: Option<Inputs>,
    training: Option<Training>,
}

struct Training {
    model: Model,
    variables: HashMap<String, Var>,
    target: Tensor,
}

/// The result of one iteration.
enum Output {
    Tensor(Tensor),
    Gradients { loss: Tensor, gradients: GradStore },
    Tokens { tokens: Vec<u32>, first_token_ns: u64 },
}

fn main() -> ExitCode {
    arena::main::<Candle>()
}

impl Engine for Candle {
    type Output = Output;

    fn new(job: &Job) -> Result<Self> {
        precision(job)?;
        let device = match job.cell.accelerator.as_str() {
            "cpu" => Ok(Device::Cpu),
            "cuda" => Device::new_cuda(0),
            "metal" => Device::new_metal(0),
            other => return Err(Failure::unsupported("no-device", format!("Candle has no {other} device"))),
        };
        let device = device.map_err(|error| Failure::unsupported("no-device", error.to_string()))?;
        Ok(Self {
            job: job.clone(),
            device,
            weights: HashMap::new(),
            inference: None,
            inputs: None,
            training: None,
        })
    }

    fn describe(&self) -> Description {
        let backend = match self.device {
            Device::Cpu => "CPU, gemm".into(),
            Device::Cuda(_) => cuda(),
            Device::Metal(_) => "Metal".into(),
        };
        Description {
            backend,
            device: self.job.cell.accelerator.clone(),
            threads: Some(candle_core::utils::get_num_threads()),
        }
    }

    fn load(&mut self) -> Result<()> {
        self.weights = candle_core::safetensors::load(&self.job.files.weights, &self.device)?;
        Ok(())
    }

    fn prepare(&mut self, task: Task) -> Result<()> {
        if task == Task::Training {
            // From here on the weights are needed as variables only.
            self.inference = None;
            let variables: HashMap<String, Var> = self
                .weights
                .iter()
                .filter(|(name, _)| !CONSTANTS.iter().any(|end| name.ends_with(end)))
                .map(|(name, tensor)| Ok((name.clone(), Var::from_tensor(tensor)?)))
                .collect::<Result<_>>()?;
            let mut tensors = self.weights.clone();
            tensors.extend(variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())));
            let model = Model::build(&self.job, &tensors, &self.device, Form::Training)?;
            self.inputs = Some(model.inputs(&self.job, task, &self.device)?);
            let target = to_device(&self.job.target()?, &self.device)?;
            self.training = Some(Training { model, variables, target });
            return Ok(());
        }
        self.training = None;
        let model = match self.inference.take() {
            Some(model) => model,
            None => Model::build(&self.job, &self.weights, &self.device, Form::Inference)?,
        };
        self.inputs = Some(model.inputs(&self.job, task, &self.device)?);
        self.inference = Some(model);
        Ok(())
    }

    fn run(&mut self, task: Task) -> Result<Output> {
        let inputs = self.inputs.as_ref().ok_or_else(|| unprepared(task))?;
        let output = match (task, &self.training, &self.inference) {
            (Task::Training, Some(training), _) => training.step(inputs, &self.job.cell.loss)?,
            (Task::Decode, _, Some(Model::Llama(model))) => {
                generate(model, inputs, self.job.cell.decode_tokens, &self.device)?
            }
            (Task::Decode, ..) => {
                return Err(Failure::unsupported("unsupported-model", "only a language model decodes"));
            }
            (_, _, Some(model)) => Output::Tensor(model.forward(inputs)?),
            _ => return Err(unprepared(task)),
        };
        self.device.synchronize()?;
        Ok(output)
    }

    fn fetch(&mut self, _task: Task, output: Output) -> Result<Fetched> {
        Ok(match output {
            Output::Tensor(tensor) => Fetched::Output(to_host(&tensor)?),
            Output::Tokens { tokens, .. } => Fetched::Tokens(tokens.into_iter().map(i64::from).collect()),
            Output::Gradients { loss, gradients } => {
                let training = self.training.as_ref().ok_or_else(|| unprepared(Task::Training))?;
                let named = training.variables.iter().filter_map(|(name, variable)| {
                    let gradient = gradients.get(variable)?;
                    Some(to_host(gradient).map(|array| (name.clone(), array)))
                });
                Fetched::Gradients {
                    loss: f64::from(loss.to_scalar::<f32>()?),
                    gradients: named.collect::<Result<_>>()?,
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
    /// Forward, loss, and the gradient of every variable.
    fn step(&self, inputs: &Inputs, kind: &str) -> Result<Output> {
        let output = self.model.forward(inputs)?;
        let loss = match kind {
            "cross_entropy" => {
                let classes = output.dim(candle_core::D::Minus1)?;
                loss::cross_entropy(&output.reshape(((), classes))?, &self.target)?
            }
            _ => loss::mse(&output, &self.target)?,
        };
        let gradients = loss.backward()?;
        Ok(Output::Gradients { loss, gradients })
    }
}

/// Set the precision of the lane, before there is a device.
///
/// On CUDA Candle's products are float32 unless told otherwise, while cuDNN rounds float32 convolutions to TF32; it
/// does not where NVIDIA's libraries are told not to. Of the row's options, `precision: default` leaves all that alone.
fn precision(job: &Job) -> Result<()> {
    let default = job.cell.options.get("precision").and_then(|value| value.as_str()) == Some("default");
    match (job.cell.lane.as_str(), job.cell.accelerator.as_str()) {
        ("float32", "cuda") if !default => {
            // SAFETY: this process has one thread yet.
            unsafe { std::env::set_var("NVIDIA_TF32_OVERRIDE", "0") };
        }
        ("float32", _) => {}
        ("tf32", "cuda") => candle_core::cuda::set_gemm_reduced_precision_f32(true),
        (lane, accelerator) => {
            let why = format!("Candle has no {lane} lane on {accelerator}");
            return Err(Failure::unsupported("unsupported-lane", why));
        }
    }
    Ok(())
}

/// The libraries that compute on CUDA.
#[cfg(feature = "cuda")]
fn cuda() -> String {
    let version = candle_core::cuda::cudarc::cudnn::result::get_version();
    format!("CUDA, cuDNN {}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> String {
    "CUDA".into()
}

/// Feed the prompt, then pick the highest logit `count` times.
fn generate(model: &llama::Llama, inputs: &Inputs, count: usize, device: &Device) -> Result<Output> {
    let begin = Instant::now();
    let prompt = inputs.tensors.get("input_ids").ok_or_else(|| unprepared(Task::Decode))?;
    let length = prompt.dim(1)?;
    let mut cache = model.cache(length + count);
    let highest = |logits: Tensor| logits.flatten_all()?.argmax(0)?.to_scalar::<u32>();
    let tables = inputs.rope.as_ref().ok_or_else(|| unprepared(Task::Decode))?;
    let mut tokens = vec![highest(model.step(prompt, tables, &mut cache)?)?];
    let first_token_ns = begin.elapsed().as_nanos() as u64;
    while let Some(&last) = tokens.last()
        && tokens.len() < count
    {
        let position = length + tokens.len() - 1;
        let tables = model.rope_tables(position, 1, device)?;
        let id = Tensor::from_slice(&[last], (1, 1), device)?;
        tokens.push(highest(model.step(&id, &tables, &mut cache)?)?);
    }
    Ok(Output::Tokens { tokens, first_token_ns })
}

fn to_host(tensor: &Tensor) -> Result<Array> {
    let data = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Array::new(tensor.dims().to_vec(), data)
}

fn unprepared(task: Task) -> Failure {
    Failure::Error(format!("{} was not prepared", task.name()))
}
