//! Greedy generation: one session for the prompt, one for each further token, and between them the cache.

use std::collections::BTreeMap;
use std::time::Instant;

use arena::architecture::{Definition, Llama as Config};
use arena::{Failure, Job, Result, Task};
use meganeura::Session;

use crate::llama;
use crate::model::{indices, ready, session};
use crate::network::{Form, HIDDEN, Network};
use crate::parameters::Weights;

pub struct Generator {
    config: Config,
    prompt: Session,
    step: Session,
    /// Tokens of the prompt, and tokens to generate.
    given: usize,
    count: usize,
}

impl Generator {
    pub fn new(job: &Job, weights: &Weights) -> Result<Self> {
        let config = Definition::language_model(job)?;
        let inputs = job.inputs(Task::Decode)?;
        let ids =
            inputs.get("input_ids").ok_or_else(|| Failure::Error("the workload has no prompt".into()))?;
        let (given, count) = (ids.integers()?.len(), job.cell.decode_tokens);

        let mut network = Network::new(weights, Form::Inference);
        let outputs = llama::prefill(&mut network, &config, given)?;
        network.graph.set_outputs(outputs);
        let mut prompt = session(&network.graph, Form::Inference, job)?;
        ready(&mut prompt, &network.parameters, weights, &inputs)?;

        let mut network = Network::new(weights, Form::Inference);
        let output = llama::step(&mut network, &config, given + count)?;
        network.graph.set_outputs(vec![output]);
        let mut step = session(&network.graph, Form::Inference, job)?;
        ready(&mut step, &network.parameters, weights, &BTreeMap::new())?;
        Ok(Self { config, prompt, step, given, count })
    }

    /// The new tokens, and nanoseconds until the first of them was known.
    pub fn generate(&mut self) -> Result<(Vec<i64>, u64)> {
        let begin = Instant::now();
        self.prompt.step();
        self.prompt.wait();
        let mut tokens = vec![highest(&self.prompt.read_output(self.config.vocab_size))];
        let first_token_ns = begin.elapsed().as_nanos() as u64;
        self.fill_cache();
        let mut mask = vec![HIDDEN; self.given + self.count];
        mask[..self.given].fill(0.0);
        while let Some(&last) = tokens.last()
            && tokens.len() < self.count
        {
            let position = self.given + tokens.len() - 1;
            mask[position] = 0.0;
            if self.step.has_input("mask") {
                self.step.set_input("mask", &mask);
            }
            self.step.set_input_u32("input_ids", &indices(&[last])?);
            self.step.set_input_u32("position", &[u32::try_from(position)?]);
            self.step.step();
            self.step.wait();
            tokens.push(highest(&self.step.read_output(self.config.vocab_size)));
        }
        Ok((tokens, first_token_ns))
    }

    /// The prompt's keys and values become the first rows of the cache. They pass through the host.
    fn fill_cache(&mut self) {
        let width = self.config.num_key_value_heads * self.config.head_dim;
        let mut buffer = vec![0.0; (self.given + self.count) * width];
        let names = (0..self.config.num_hidden_layers).flat_map(llama::cache_names);
        for (index, name) in names.enumerate() {
            // The logits are the first output.
            self.prompt.read_output_by_index(index + 1, &mut buffer[..self.given * width]);
            self.step.upload_param(&name, &buffer);
        }
    }
}

/// The index of the largest logit, the first of equal ones.
fn highest(logits: &[f32]) -> i64 {
    let first = (0, f32::NEG_INFINITY);
    let best = logits
        .iter()
        .copied()
        .enumerate()
        .fold(first, |best, next| if next.1 > best.1 { next } else { best });
    best.0 as i64
}

#[cfg(test)]
mod tests {
    use super::highest;

    #[test]
    fn the_first_of_equal_logits_is_the_highest() {
        assert_eq!(highest(&[-3.0, 2.0, -1.0, 2.0]), 1);
        assert_eq!(highest(&[-3.0, -2.0]), 1);
    }
}
