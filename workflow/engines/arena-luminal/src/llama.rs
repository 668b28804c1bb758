//! LLaMA: rotary positions, grouped-query attention, SwiGLU, a tied head; with a KV cache for decoding.

use std::ops::Deref;

use arena::Result;
use arena::architecture::Llama as Architecture;

use crate::attention::{Attention, Heads, Past, Rotary, causal_mask};
use crate::layers::{gather, project, rms_norm, rows, swiglu};
use crate::program::{Builder, Matrix, Vector, size};
use crate::weights::Weights;

/// The architecture, to be built in Luminal.
#[derive(Clone)]
pub struct Config(pub Architecture);

impl Deref for Config {
    type Target = Architecture;

    fn deref(&self) -> &Architecture {
        &self.0
    }
}

/// What is computed for: every position's logits (time, vocabulary), or the last one's alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Logits {
    All,
    Last,
}

impl Config {
    /// The heads of every layer's attention.
    pub fn heads(&self) -> Heads {
        let kv = self.num_key_value_heads;
        Heads { kv, groups: self.groups(), dim: self.head_dim, out: "o_proj", biased: false }
    }

    /// Cut the attentions' weights into those of their heads.
    pub fn split(&self, weights: &mut Weights) -> Result<()> {
        (0..self.num_hidden_layers)
            .try_for_each(|index| self.heads().split(weights, &format!("model.layers.{index}.self_attn")))
    }

    /// Cosines and sines of positions `past..past + time`, each position `repeat` times: 2 tables, each
    /// (time · repeat, head_dim), whose halves are the same.
    pub fn tables(&self, past: usize, time: usize, repeat: usize) -> [Vec<f32>; 2] {
        let half = self.head_dim / 2;
        let angle = |row: usize, column: usize| {
            let power = 2.0 * (column % half) as f64 / self.head_dim as f64;
            (past + row / repeat) as f64 * self.rope_theta.powf(-power)
        };
        [f64::cos, f64::sin].map(|f| {
            let rows = 0..time * repeat;
            rows.flat_map(|row| (0..self.head_dim).map(move |column| f(angle(row, column)) as f32)).collect()
        })
    }

    /// The rotary positions of `time` tokens, the first at position 0.
    pub fn rotary(&self, cx: &mut Builder, time: usize) -> Result<Rotary> {
        let (dim, half) = (self.head_dim, self.head_dim / 2);
        let mut turn = vec![0.0; dim * dim];
        for pair in 0..half {
            turn[(pair + half) * dim + pair] = -1.0;
            turn[pair * dim + pair + half] = 1.0;
        }
        let mut tables = |repeat: usize| -> Result<[Matrix; 2]> {
            let [cos, sin] = self.tables(0, time, repeat);
            let sizes = [time * repeat, dim];
            Ok([cx.input("cos", &sizes, cos)?, cx.input("sin", &sizes, sin)?])
        };
        let (queries, keys) = (tables(self.heads().groups)?, tables(1)?);
        Ok(Rotary { turn: cx.input("turn", &[dim, dim], turn)?, queries, keys })
    }

    /// Logits of the tokens `ids` (time), and every layer's keys and values. With a past, `ids` follow it.
    pub fn forward(
        &self,
        cx: &mut Builder,
        ids: Vector,
        rotary: &Rotary,
        past: Option<&mut Past>,
        logits: Logits,
    ) -> Result<Vec<Matrix>> {
        let (time, hidden) = (size(ids, 0), self.hidden_size);
        let mask = causal_mask(cx, self.heads(), time)?;
        let mut attention = Attention { rotary: Some(rotary), mask, past, ..Attention::new(self.heads()) };
        let embedding: Matrix = cx.weight("model.embed_tokens.weight", &[self.vocab_size, hidden])?;
        let mut x = gather(embedding, ids);
        for index in 0..self.num_hidden_layers {
            let layer = format!("model.layers.{index}");
            let normed =
                rms_norm(cx, &format!("{layer}.input_layernorm.weight"), x, self.rms_norm_eps as f32)?;
            x += attention.forward(cx, &format!("{layer}.self_attn"), normed, normed)?;
            let normed = rms_norm(
                cx,
                &format!("{layer}.post_attention_layernorm.weight"),
                x,
                self.rms_norm_eps as f32,
            )?;
            x += swiglu(cx, &format!("{layer}.mlp"), normed, self.intermediate_size)?;
        }
        if logits == Logits::Last {
            x = rows(x, time - 1, time);
        }
        let x = rms_norm(cx, "model.norm.weight", x, self.rms_norm_eps as f32)?;
        let mut outputs = vec![project(x, embedding)];
        outputs.append(&mut attention.computed);
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::tests::numbers;
    use crate::program::tests::computed;

    #[test]
    fn each_pair_turns_by_its_positions_angle() {
        let config = Config(Architecture {
            hidden_size: 16,
            num_hidden_layers: 1,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 4,
            intermediate_size: 8,
            vocab_size: 8,
            rms_norm_eps: 1e-5,
            rope_theta: 100.0,
        });
        let x = numbers(24);
        let turned = computed(|cx| {
            let rotary = config.rotary(cx, 3)?;
            let x = cx.input("x", &[6, 4], x.clone())?;
            Ok(rotary.rotate(x, rotary.queries))
        });
        for (row, (before, after)) in x.chunks(4).zip(turned.chunks(4)).enumerate() {
            for (pair, speed) in [1.0, 0.1].into_iter().enumerate() {
                let (sin, cos) = ((row / 2) as f32 * speed).sin_cos(); // two query heads share each position
                let (a, b) = (before[pair], before[pair + 2]);
                assert!((after[pair] - (a * cos - b * sin)).abs() < 1e-6);
                assert!((after[pair + 2] - (b * cos + a * sin)).abs() < 1e-6);
            }
        }
    }
}
