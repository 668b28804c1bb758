//! Greedy decoding with a KV cache: one program reads the prompt, another one token after the next.

use std::time::Instant;

use arena::{Failure, Job, Result, Task};
use luminal::prelude::NodeIndex;

use crate::attention::Past;
use crate::llama::{Config, Logits};
use crate::model::text;
use crate::program::{Builder, Matrix, Program};
use crate::weights::{Weights, floats};

pub struct Decoder {
    config: Config,
    prompt: Program,
    step: Program,
    /// Inputs of `step`: the token, the rotary tables of queries and keys, and the past.
    token: NodeIndex,
    tables: [[NodeIndex; 2]; 2],
    mask: NodeIndex,
    cache: Vec<NodeIndex>,
    /// Tokens of the prompt, of the cache, and to generate.
    length: usize,
    capacity: usize,
    count: usize,
}

impl Decoder {
    /// Compile both programs for the job's prompt and number of tokens.
    pub fn new(job: &Job, config: &Config, weights: &Weights) -> Result<Self> {
        let inputs = job.inputs(Task::Decode)?;
        let ids =
            inputs.get("input_ids").ok_or_else(|| Failure::Error("the workload has no prompt".into()))?;
        let (length, ids) = text(ids)?;
        let (count, groups) = (job.cell.decode_tokens, config.heads().groups);
        let capacity = length + count - 1;

        let mut cx = Builder::new(weights);
        let rotary = config.rotary(&mut cx, length)?;
        let ids = cx.input("input_ids", &[length], ids)?;
        let outputs = config.forward(&mut cx, ids, &rotary, None, Logits::Last)?;
        let prompt = cx.finish(outputs)?;

        let mut cx = Builder::new(weights);
        let rotary = config.rotary(&mut cx, 1)?;
        let token = cx.input("token", &[1], vec![0.0])?;
        let mask: Matrix = cx.input("mask", &[groups, capacity], vec![0.0; groups * capacity])?;
        let mut past = Past { length: capacity, mask, nodes: Vec::new() };
        let outputs = config.forward(&mut cx, token, &rotary, Some(&mut past), Logits::Last)?;
        Ok(Self {
            config: config.clone(),
            prompt,
            step: cx.finish(outputs)?,
            token: token.id,
            tables: [rotary.queries, rotary.keys].map(|tables| tables.map(|table| table.id)),
            mask: mask.id,
            cache: past.nodes,
            length,
            capacity,
            count,
        })
    }

    /// Feed the prompt, then pick the highest logit again and again: the tokens, and the nanoseconds until
    /// the first of them was known. The programs hold the weights in turn.
    pub fn generate(&mut self, weights: &mut Weights) -> Result<(Vec<i64>, u64)> {
        let begin = Instant::now();
        self.prompt.attach(weights)?;
        self.prompt.run();
        let mut last = highest(&mut self.prompt)?;
        let first_token_ns = begin.elapsed().as_nanos() as u64;
        for (index, &node) in self.cache.iter().enumerate() {
            self.step.set(node, 0, floats(&self.prompt.output(index + 1)?)?)?;
        }
        self.prompt.detach(weights);

        self.step.attach(weights)?;
        let mut tokens = vec![last as i64];
        while tokens.len() < self.count {
            let position = self.length + tokens.len() - 1;
            self.place(last, position)?;
            self.step.run();
            last = highest(&mut self.step)?;
            tokens.push(last as i64);
            for (index, &node) in self.cache.iter().enumerate() {
                let new = self.step.output(index + 1)?;
                self.step.set(node, position * self.config.head_dim, floats(&new)?)?;
            }
        }
        self.step.detach(weights);
        Ok((tokens, first_token_ns))
    }

    /// Set the step's inputs to a token and its position, which sees those before it.
    fn place(&mut self, token: usize, position: usize) -> Result<()> {
        let groups = self.config.heads().groups;
        self.step.set(self.token, 0, &[token as f32])?;
        for (nodes, repeat) in self.tables.iter().zip([groups, 1]) {
            for (node, table) in nodes.iter().zip(self.config.tables(position, 1, repeat)) {
                self.step.set(*node, 0, &table)?;
            }
        }
        let row = (0..self.capacity).map(|key| if key < position { 0.0 } else { f32::NEG_INFINITY });
        let mask: Vec<f32> = (0..groups).flat_map(|_| row.clone()).collect();
        self.step.set(self.mask, 0, &mask)
    }
}

/// The index of the highest logit in a program's first output.
fn highest(program: &mut Program) -> Result<usize> {
    let logits = program.output(0)?;
    let numbered = floats(&logits)?.iter().enumerate();
    let highest = numbered.max_by(|(_, a), (_, b)| a.total_cmp(b));
    highest.map(|(token, _)| token).ok_or_else(|| Failure::Error("no logits".into()))
}
