//! The arena's workloads in Luminal: forward passes, and greedy decoding with a KV cache, on the CPU.

mod action_expert;
mod attention;
mod convolution;
mod decode;
mod images;
mod layers;
mod llama;
mod model;
mod program;
mod resnet;
mod unet;
mod weights;
mod whisper;

use std::process::ExitCode;

use arena::tensors::Array;
use arena::{Description, Engine, Failure, Fetched, Job, Result, Task};
use luminal::prelude::Tensor;

use crate::decode::Decoder;
use crate::model::Model;
use crate::program::Program;
use crate::weights::{Weights, floats};

struct Luminal {
    job: Job,
    model: Model,
    weights: Weights,
    /// The forward pass of the task that was prepared last, with the shape of its output.
    forward: Option<(Program, Vec<usize>)>,
    decoder: Option<Decoder>,
}

/// The result of one iteration.
enum Output {
    Tensor(Tensor),
    Tokens { tokens: Vec<i64>, first_token_ns: u64 },
}

fn main() -> ExitCode {
    arena::main::<Luminal>()
}

impl Engine for Luminal {
    type Output = Output;

    fn new(job: &Job) -> Result<Self> {
        Ok(Self {
            job: job.clone(),
            model: Model::of(job)?,
            weights: Weights::default(),
            forward: None,
            decoder: None,
        })
    }

    fn describe(&self) -> Description {
        Description {
            backend: "CPU, matrixmultiply".into(),
            device: self.job.cell.accelerator.clone(),
            threads: Some(1), // Luminal starts none, and asks matrixmultiply for none
        }
    }

    fn load(&mut self) -> Result<()> {
        self.weights = Weights::open(&self.job.files.weights)?;
        self.model.split(&mut self.weights)
    }

    fn prepare(&mut self, task: Task) -> Result<()> {
        if let Some((mut program, _)) = self.forward.take() {
            program.detach(&mut self.weights);
        }
        self.decoder = None;
        match task {
            Task::Training => Err(Failure::Error("Luminal 0.2 has no automatic differentiation".into())),
            Task::Decode => {
                let Model::Llama(config) = &self.model else {
                    return Err(Failure::unsupported("unsupported-model", "only a language model decodes"));
                };
                self.decoder = Some(Decoder::new(&self.job, config, &self.weights)?);
                Ok(())
            }
            Task::Inference | Task::Latency => {
                let (mut program, shape) = self.model.program(&self.job, task, &self.weights)?;
                program.attach(&mut self.weights)?;
                self.forward = Some((program, shape));
                Ok(())
            }
        }
    }

    fn run(&mut self, task: Task) -> Result<Output> {
        if task == Task::Decode {
            let decoder = self.decoder.as_mut().ok_or_else(|| unprepared(task))?;
            let (tokens, first_token_ns) = decoder.generate(&mut self.weights)?;
            return Ok(Output::Tokens { tokens, first_token_ns });
        }
        let (program, _) = self.forward.as_mut().ok_or_else(|| unprepared(task))?;
        program.run();
        Ok(Output::Tensor(program.output(0)?))
    }

    fn fetch(&mut self, task: Task, output: Output) -> Result<Fetched> {
        match output {
            Output::Tokens { tokens, .. } => Ok(Fetched::Tokens(tokens)),
            Output::Tensor(tensor) => {
                let (_, shape) = self.forward.as_ref().ok_or_else(|| unprepared(task))?;
                Ok(Fetched::Output(Array::new(shape.clone(), floats(&tensor)?.clone())?))
            }
        }
    }

    fn first_token_ns(output: &Output) -> Option<u64> {
        match output {
            Output::Tokens { first_token_ns, .. } => Some(*first_token_ns),
            Output::Tensor(_) => None,
        }
    }
}

fn unprepared(task: Task) -> Failure {
    Failure::Error(format!("{} was not prepared", task.name()))
}
