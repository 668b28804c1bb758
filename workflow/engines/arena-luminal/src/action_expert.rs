//! SmolVLA's action expert: layers attend in turn to the actions and to the context.

use std::ops::Deref;

use arena::Result;
use arena::architecture::ActionExpert as Architecture;
use luminal::prelude::Axis;

use crate::attention::{Attention, Heads};
use crate::layers::{linear, rms_norm, swiglu};
use crate::program::{Builder, Matrix, Size, reshape};
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

impl Config {
    fn heads(&self) -> Heads {
        let kv = self.num_key_value_heads;
        Heads { kv, groups: self.groups(), dim: self.head_dim, out: "o_proj", biased: false }
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
        let (hidden, eps) = (self.hidden_size, self.rms_norm_eps as f32);
        let time = linear(cx, "time_proj.weight", time, hidden)?;
        let time = reshape::<_, (Size,)>(time, &[hidden]).expand::<_, Axis<0>>();
        let mut x = linear(cx, "action_proj.weight", actions, hidden)? + time;
        let context = linear(cx, "kv_proj.weight", context, hidden)?;
        let mut attention = Attention::new(self.heads());
        for index in 0..self.num_hidden_layers {
            let layer = format!("layers.{index}");
            let cross = self.attends_to_context(index);
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
