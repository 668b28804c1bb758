//! SmolVLA's action expert: layers attend in turn to the actions and to the context.

use arena::Result;
use luminal::prelude::Axis;
use serde::Deserialize;

use crate::attention::{Attention, Heads};
use crate::layers::{linear, rms_norm, swiglu};
use crate::program::{Builder, Matrix, Size, reshape};
use crate::weights::Weights;

/// The keys of the arena's own config.
#[derive(Clone, Deserialize)]
pub struct Config {
    action_dim: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    intermediate_size: usize,
    cross_attention_every: usize,
    rms_norm_eps: f32,
}

impl Config {
    fn heads(&self) -> Heads {
        let kv = self.num_key_value_heads;
        Heads { kv, groups: self.num_attention_heads / kv, dim: self.head_dim, out: "o_proj", biased: false }
    }

    /// Cut the attentions' weights into those of their heads.
    pub fn split(&self, weights: &mut Weights) -> Result<()> {
        (0..self.num_hidden_layers)
            .try_for_each(|index| self.heads().split(weights, &format!("layers.{index}.attn")))
    }

    /// Noisy actions to denoised actions, both (chunk, action_dim); `time` is (1, time_dim), `context` is
    /// (length, context_dim).
    pub fn forward(
        &self,
        cx: &mut Builder,
        actions: Matrix,
        time: Matrix,
        context: Matrix,
    ) -> Result<Matrix> {
        let (hidden, eps) = (self.hidden_size, self.rms_norm_eps);
        let time = linear(cx, "time_proj.weight", time, hidden)?;
        let time = reshape::<_, (Size,)>(time, &[hidden]).expand::<_, Axis<0>>();
        let mut x = linear(cx, "action_proj.weight", actions, hidden)? + time;
        let context = linear(cx, "kv_proj.weight", context, hidden)?;
        let mut attention = Attention::new(self.heads());
        for index in 0..self.num_hidden_layers {
            let layer = format!("layers.{index}");
            let cross = index % self.cross_attention_every == self.cross_attention_every - 1;
            let normed = rms_norm(cx, &format!("{layer}.norm1.weight"), x, eps)?;
            let source = if cross { context } else { normed };
            x += attention.forward(cx, &format!("{layer}.attn"), normed, source)?;
            let normed = rms_norm(cx, &format!("{layer}.norm2.weight"), x, eps)?;
            x += swiglu(cx, &format!("{layer}.mlp"), normed, self.intermediate_size)?;
        }
        let x = rms_norm(cx, "norm.weight", x, eps)?;
        linear(cx, "head.weight", x, self.action_dim)
    }
}
