//! The arena's workloads in tract, from the ONNX files: forward passes, and greedy decoding with tract's KV cache.

mod graph;

use std::process::ExitCode;
use std::time::Instant;

use arena::tensors::{Array, Input};
use arena::{Description, Engine, Failure, Fetched, Job, Result, Task};
use tract_onnx::prelude::multithread::Executor;
use tract_onnx::prelude::*;

use crate::graph::{Graph, tract};

struct Tract {
    job: Job,
    executor: Executor,
    graph: Option<Graph>,
    /// The task that was prepared last.
    prepared: Option<Prepared>,
}

#[expect(clippy::large_enum_variant, reason = "a process has one")]
enum Prepared {
    Forward { state: TypedSimpleState, inputs: TVec<TValue> },
    Decode { plan: Arc<TypedRunnableModel>, prompt: TValue },
}

/// The result of one iteration.
enum Output {
    Tensor(TValue),
    Tokens { tokens: Vec<i64>, first_token_ns: u64 },
}

fn main() -> ExitCode {
    arena::main::<Tract>()
}

impl Engine for Tract {
    type Output = Output;

    fn new(job: &Job) -> Result<Self> {
        let executor = match job.cell.threads {
            1 => Executor::SingleThread,
            threads => Executor::multithread(threads),
        };
        Ok(Self { job: job.clone(), executor, graph: None, prepared: None })
    }

    fn describe(&self) -> Description {
        let threads = match &self.executor {
            Executor::MultiThread(pool) => pool.current_num_threads(),
            _ => 1,
        };
        Description { backend: "CPU, tract-linalg".into(), device: "cpu".into(), threads: Some(threads) }
    }

    fn load(&mut self) -> Result<()> {
        let path = self.job.files.export.as_ref().ok_or_else(|| unexported(Task::Inference))?;
        self.graph = Some(Graph::load(path)?);
        Ok(())
    }

    fn prepare(&mut self, task: Task) -> Result<()> {
        self.prepared = None;
        let options = RunOptions { executor: Some(self.executor.clone()), ..RunOptions::default() };
        let mut inputs = self.job.inputs(task)?;
        self.prepared = Some(match task {
            Task::Inference | Task::Latency => {
                let graph = self.graph.as_ref().ok_or_else(|| unexported(task))?;
                let shapes = inputs.iter().map(|(name, input)| (name.as_str(), input.shape()));
                let plan = graph.of_sizes(shapes)?.into_plan(&options)?;
                let named = graph.names().iter().map(|name| {
                    value(&inputs.remove(name).ok_or_else(|| Failure::MissingTensor(name.clone()))?)
                });
                Prepared::Forward {
                    inputs: named.collect::<Result<_>>()?,
                    state: TypedSimpleState::new(&plan).map_err(tract)?,
                }
            }
            Task::Decode => {
                let path = self.job.files.decode_export.as_ref().ok_or_else(|| unexported(task))?;
                let plan = Graph::load(path)?.with_cache()?.into_plan(&options)?;
                let prompt = inputs.remove("input_ids").ok_or_else(|| unexported(task))?;
                Prepared::Decode { plan, prompt: value(&prompt)? }
            }
            Task::Training => return Err(Failure::unsupported("no-training", "tract runs inference only.")),
        });
        Ok(())
    }

    fn run(&mut self, _task: Task) -> Result<Output> {
        match self.prepared.as_mut() {
            Some(Prepared::Forward { state, inputs }) => {
                let mut outputs = state.run(inputs.clone()).map_err(tract)?;
                Ok(Output::Tensor(outputs.remove(0)))
            }
            Some(Prepared::Decode { plan, prompt }) => generate(plan, prompt, self.job.cell.decode_tokens),
            None => Err(Failure::Error("nothing was prepared".into())),
        }
    }

    fn fetch(&mut self, _task: Task, output: Output) -> Result<Fetched> {
        Ok(match output {
            Output::Tensor(tensor) => {
                Fetched::Output(Array::new(tensor.shape().to_vec(), floats(&tensor)?.to_vec())?)
            }
            Output::Tokens { tokens, .. } => Fetched::Tokens(tokens),
        })
    }

    fn first_token_ns(output: &Output) -> Option<u64> {
        match output {
            Output::Tokens { first_token_ns, .. } => Some(*first_token_ns),
            Output::Tensor(_) => None,
        }
    }
}

/// Feed the prompt into an empty cache, then pick the highest logit `count` times.
fn generate(plan: &Arc<TypedRunnableModel>, prompt: &TValue, count: usize) -> Result<Output> {
    let begin = Instant::now();
    let mut state = TypedSimpleState::new(plan).map_err(tract)?;
    let mut next = |ids: TValue| {
        let outputs = state.run(tvec![ids]).map_err(tract)?;
        highest(floats(&outputs[0])?)
    };
    let mut last = next(prompt.clone())?;
    let first_token_ns = begin.elapsed().as_nanos() as u64;
    let mut tokens = vec![last];
    while tokens.len() < count {
        last = next(tensor2(&[[last]]).into())?;
        tokens.push(last);
    }
    Ok(Output::Tokens { tokens, first_token_ns })
}

/// The index of the highest value, the first of equals.
fn highest(values: &[f32]) -> Result<i64> {
    let mut found = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[found] {
            found = index;
        }
    }
    if values.is_empty() {
        return Err(Failure::Error("no logits".into()));
    }
    Ok(found as i64)
}

fn floats(tensor: &Tensor) -> Result<&[f32]> {
    tensor.try_as_plain_ram().and_then(|view| view.as_slice::<f32>()).map_err(tract)
}

fn value(input: &Input) -> Result<TValue> {
    let tensor = match input {
        Input::Float(array) => Tensor::from_shape(&array.shape, &array.data),
        Input::Integer { shape, data } => Tensor::from_shape(shape, data),
    };
    Ok(tensor.map_err(tract)?.into())
}

fn unexported(task: Task) -> Failure {
    Failure::Error(format!("the job names no ONNX file, or no input, for {}", task.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_highest_values_is_picked() {
        assert_eq!(highest(&[-3.0, 2.0, 7.0, 7.0, -9.0]).unwrap(), 2);
        assert_eq!(highest(&[f32::NEG_INFINITY, -5.0]).unwrap(), 1);
        assert!(highest(&[]).is_err());
    }

    #[test]
    fn inputs_keep_their_shape_and_type() {
        let ids = value(&Input::Integer { shape: vec![1, 3], data: vec![4, 5, 6] }).unwrap();
        assert_eq!((ids.shape(), ids.datum_type()), ([1, 3].as_slice(), i64::datum_type()));
        let image = value(&Input::Float(Array::new(vec![2, 1], vec![0.5, -1.0]).unwrap())).unwrap();
        assert_eq!(floats(&image).unwrap(), [0.5, -1.0]);
    }
}
