//! One of the five models as a graph, compiled, with weights and inputs on the device.

use std::collections::BTreeMap;

use arena::architecture::Definition;
use arena::tensors::{Array, Input};
use arena::{Failure, Fetched, Job, Result, Task};
use meganeura::graph::NodeId;
use meganeura::{CoopPolicy, Graph, Mode, Session, SessionConfig, SessionOptions, build};

use crate::network::{Form, Network};
use crate::parameters::{Parameter, Weights};
use crate::{action_expert, llama, resnet, unet, whisper};

/// A task that one session computes: inference, latency or training.
pub struct Prepared {
    session: Session,
    /// Of the output.
    shape: Vec<usize>,
    parameters: Vec<Parameter>,
}

impl Prepared {
    /// Build and compile the graph of the job's definition for the shapes of the task's inputs.
    pub fn new(job: &Job, task: Task, weights: &Weights) -> Result<Self> {
        let inputs = job.inputs(task)?;
        let form = if task == Task::Training { Form::Training } else { Form::Inference };
        let mut network = Network::new(weights, form);
        let (output, shape) = forward(&mut network, job, &inputs)?;
        let mut uploads = inputs;
        let output = if form == Form::Training {
            let (loss, target) = loss(&mut network, output, &job.cell.loss, &job.target()?)?;
            uploads.insert("target".into(), target);
            loss
        } else {
            output
        };
        network.graph.set_outputs(vec![output]);
        let mut session = session(&network.graph, form, job)?;
        let parameters = network.parameters;
        ready(&mut session, &parameters, weights, &uploads)?;
        Ok(Self { session, shape, parameters })
    }

    /// Run the graph once and wait for the device. In training no optimiser is set: nothing is updated.
    pub fn run(&mut self) {
        self.session.step();
        self.session.wait();
    }

    pub fn output(&self) -> Result<Fetched> {
        let data = self.session.read_output(self.shape.iter().product());
        Ok(Fetched::Output(Array::new(self.shape.clone(), data)?))
    }

    /// The loss, and the gradient of every tensor of the checkpoint that has one.
    pub fn gradients(&self, weights: &Weights) -> Result<Fetched> {
        let mut gradients = BTreeMap::new();
        for parameter in &self.parameters {
            parameter.download(&self.session, weights, &mut gradients)?;
        }
        Ok(Fetched::Gradients {
            loss: f64::from(self.session.read_loss()),
            gradients: gradients.into_iter().collect(),
        })
    }
}

/// Compile a graph in the precision of the job's lane.
///
/// In `float32` the device's cooperative matrices stay unused, whose factors are float16; `float16` asks for them,
/// and is an `unsupported-lane` where nothing in the graph gets them.
pub fn session(graph: &Graph, form: Form, job: &Job) -> Result<Session> {
    let reduced = job.cell.lane == "float16";
    let mode = if form == Form::Training { Mode::Training } else { Mode::Inference };
    let coop = if reduced { CoopPolicy::AllowF16 } else { CoopPolicy::Disabled };
    let runtime = SessionOptions { coop, ..SessionOptions::default() };
    let (session, _) = build(graph, SessionConfig { mode, runtime, ..SessionConfig::default() });
    let cooperative = session.plan().dispatches.iter().any(|dispatch| dispatch.use_coop);
    match (reduced, cooperative) {
        (false, true) => Err(Failure::Error("cooperative matrices where none were asked for".into())),
        (true, false) => {
            let why = "on this device Meganeura has no float16 cooperative matrices for this graph";
            Err(Failure::unsupported("unsupported-lane", why))
        }
        _ => Ok(session),
    }
}

/// Upload the parameters and inputs of a new session.
pub fn ready(
    session: &mut Session,
    parameters: &[Parameter],
    weights: &Weights,
    inputs: &BTreeMap<String, Input>,
) -> Result<()> {
    for parameter in parameters {
        parameter.upload(session, weights)?;
    }
    for (name, input) in inputs {
        let size: usize = input.shape().iter().product();
        let buffer = session.plan().input_buffers.iter().find(|(found, _)| found == name);
        let bytes = buffer.map(|(_, buffer)| session.plan().buffers[buffer.0 as usize]);
        if bytes != Some(4 * size) {
            return Err(Failure::Error(format!("input {name}: {size} values for {bytes:?} bytes")));
        }
        match input {
            Input::Float(array) => session.set_input(name, &array.data),
            Input::Integer { data, .. } => session.set_input_u32(name, &indices(data)?),
        }
    }
    Ok(())
}

/// Meganeura's indices are u32.
pub fn indices(ids: &[i64]) -> Result<Vec<u32>> {
    Ok(ids.iter().map(|&id| u32::try_from(id)).collect::<std::result::Result<_, _>>()?)
}

/// The definition's output node, and the output's shape.
fn forward(
    network: &mut Network,
    job: &Job,
    inputs: &BTreeMap<String, Input>,
) -> Result<(NodeId, Vec<usize>)> {
    let node = match Definition::of(job)? {
        Definition::Llama(config) => {
            let [1, time] = shape::<2>(inputs, "input_ids")? else { return Err(batched()) };
            llama::forward(network, &config, time)?
        }
        Definition::ActionExpert(config) => {
            let [1, chunk, _] = shape::<3>(inputs, "actions")? else { return Err(batched()) };
            let [1, length, _] = shape::<3>(inputs, "context")? else { return Err(batched()) };
            action_expert::forward(network, &config, chunk, length)?
        }
        Definition::Whisper(config) => {
            let [1, _, frames] = shape::<3>(inputs, "input_features")? else { return Err(batched()) };
            let [1, time] = shape::<2>(inputs, "decoder_input_ids")? else { return Err(batched()) };
            whisper::forward(network, &config, frames, time)?
        }
        Definition::UNet(config) => {
            let shape = shape(inputs, "latent")?;
            return Ok((unet::forward(network, &config, shape)?.node, shape.to_vec()));
        }
        Definition::ResNet(config) => {
            let node = resnet::forward(network, &config, shape(inputs, "images")?)?;
            return Ok((node, network.shape(node)));
        }
    };
    Ok((node, [vec![1], network.shape(node)].concat()))
}

fn shape<const N: usize>(inputs: &BTreeMap<String, Input>, name: &str) -> Result<[usize; N]> {
    let input = inputs.get(name).ok_or_else(|| Failure::Error(format!("the workload has no {name}")))?;
    let found = input.shape();
    found
        .try_into()
        .map_err(|_| Failure::Error(format!("{name} has shape {found:?}; expected {N} dimensions")))
}

fn batched() -> Failure {
    Failure::unsupported(
        "unsupported-model",
        "Meganeura's transformer operators know no batch: one sequence only",
    )
}

/// The loss node, and what to upload for its input `target`.
fn loss(network: &mut Network, output: NodeId, kind: &str, target: &Input) -> Result<(NodeId, Input)> {
    let shape = network.shape(output);
    let labels = network.graph.input("target", &shape);
    if kind != "cross_entropy" {
        return Ok((network.graph.mse_loss(output, labels), target.clone()));
    }
    let [rows, classes] = shape[..] else {
        return Err(Failure::Error(format!("logits of shape {shape:?}; expected (positions, classes)")));
    };
    let mut data = vec![0.0; rows * classes];
    for (row, &label) in data.chunks_exact_mut(classes).zip(target.integers()?) {
        row[usize::try_from(label)?] = 1.0;
    }
    let loss = network.graph.cross_entropy_loss(output, labels);
    Ok((loss, Input::Float(Array::new(shape, data)?)))
}
