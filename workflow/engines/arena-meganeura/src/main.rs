//! The arena's workloads in Meganeura, on Vulkan: every model forward and backward, and greedy decoding with a
//! KV cache.

mod action_expert;
mod attention;
mod decode;
mod device;
mod images;
mod layers;
mod llama;
mod model;
mod network;
mod parameters;
mod resnet;
mod unet;
mod whisper;

use std::process::ExitCode;

use arena::tensors::File;
use arena::{Description, Engine, Failure, Fetched, Job, Result, Task};

use crate::decode::Generator;
use crate::model::Prepared;
use crate::parameters::Weights;

struct Meganeura {
    job: Job,
    description: Description,
    weights: Weights,
    prepared: Option<Program>,
}

/// What the prepared task runs.
enum Program {
    Pass(Box<Prepared>),
    Generation(Box<Generator>),
}

/// The result of one iteration.
enum Output {
    /// It stays in the session's buffers, which the host sees.
    OnDevice,
    Tokens {
        tokens: Vec<i64>,
        first_token_ns: u64,
    },
}

fn main() -> ExitCode {
    arena::main::<Meganeura>()
}

impl Engine for Meganeura {
    type Output = Output;

    fn new(job: &Job) -> Result<Self> {
        let description = device::open(job)?;
        Ok(Self { job: job.clone(), description, weights: Weights::new(), prepared: None })
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn load(&mut self) -> Result<()> {
        self.weights = File::open(&self.job.files.weights)?.arrays()?;
        Ok(())
    }

    fn prepare(&mut self, task: Task) -> Result<()> {
        self.prepared = None; // frees the device before it is filled again
        self.prepared = Some(match task {
            Task::Decode => Program::Generation(Box::new(Generator::new(&self.job, &self.weights)?)),
            _ => Program::Pass(Box::new(Prepared::new(&self.job, task, &self.weights)?)),
        });
        Ok(())
    }

    fn run(&mut self, task: Task) -> Result<Output> {
        match &mut self.prepared {
            Some(Program::Pass(pass)) => {
                pass.run();
                Ok(Output::OnDevice)
            }
            Some(Program::Generation(generator)) => {
                let (tokens, first_token_ns) = generator.generate()?;
                Ok(Output::Tokens { tokens, first_token_ns })
            }
            None => Err(unprepared(task)),
        }
    }

    fn fetch(&mut self, task: Task, output: Output) -> Result<Fetched> {
        match (output, &self.prepared) {
            (Output::Tokens { tokens, .. }, _) => Ok(Fetched::Tokens(tokens)),
            (Output::OnDevice, Some(Program::Pass(pass))) if task == Task::Training => {
                pass.gradients(&self.weights)
            }
            (Output::OnDevice, Some(Program::Pass(pass))) => pass.output(),
            _ => Err(unprepared(task)),
        }
    }

    fn first_token_ns(output: &Output) -> Option<u64> {
        match output {
            Output::Tokens { first_token_ns, .. } => Some(*first_token_ns),
            Output::OnDevice => None,
        }
    }
}

fn unprepared(task: Task) -> Failure {
    Failure::Error(format!("{} was not prepared", task.name()))
}
