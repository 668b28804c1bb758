//! SmolVLA's action expert: layers attend in turn to the actions and to the context.

use arena::Result;
use arena::architecture::ActionExpert as Config;
use burn::nn::RmsNorm;
use burn::tensor::Tensor;

use crate::layers::{Linear, SwiGlu, attention, rms_norm, split_heads};
use crate::weights::Weights;

struct Layer {
    cross: bool,
    norm1: RmsNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    norm2: RmsNorm,
    mlp: SwiGlu,
}

pub struct ActionExpert {
    action: Linear,
    time: Linear,
    context: Linear,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
    head_dim: usize,
}

impl ActionExpert {
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let (queries, keys) = (config.query_width(), config.key_width());
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let weights = weights.at("layers").at(index);
                let attn = weights.at("attn");
                Ok(Layer {
                    cross: config.attends_to_context(index),
                    norm1: rms_norm(&weights.at("norm1"), hidden, eps)?,
                    q: Linear::new(&attn.at("q_proj"), hidden, queries, false)?,
                    k: Linear::new(&attn.at("k_proj"), hidden, keys, false)?,
                    v: Linear::new(&attn.at("v_proj"), hidden, keys, false)?,
                    o: Linear::new(&attn.at("o_proj"), queries, hidden, false)?,
                    norm2: rms_norm(&weights.at("norm2"), hidden, eps)?,
                    mlp: SwiGlu::new(&weights.at("mlp"), hidden, config.intermediate_size)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            action: Linear::new(&weights.at("action_proj"), config.action_dim, hidden, false)?,
            time: Linear::new(&weights.at("time_proj"), config.time_dim, hidden, false)?,
            context: Linear::new(&weights.at("kv_proj"), config.context_dim, hidden, false)?,
            layers,
            norm: rms_norm(&weights.at("norm"), hidden, eps)?,
            head: Linear::new(&weights.at("head"), hidden, config.action_dim, false)?,
            head_dim: config.head_dim,
        })
    }

    /// Noisy actions to denoised actions, both (batch, chunk, action_dim); `time` is (batch, 1, time_dim),
    /// `context` is (batch, length, context_dim).
    pub fn forward(&self, actions: Tensor<3>, time: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let mut x = self.action.forward(actions) + self.time.forward(time);
        let context = self.context.forward(context);
        for layer in &self.layers {
            let normed = layer.norm1.forward(x.clone());
            let source = if layer.cross { context.clone() } else { normed.clone() };
            let q = split_heads(layer.q.forward(normed), self.head_dim);
            let k = split_heads(layer.k.forward(source.clone()), self.head_dim);
            let v = split_heads(layer.v.forward(source), self.head_dim);
            x = x + layer.o.forward(attention(q, k, v, false));
            x = x.clone() + layer.mlp.forward(layer.norm2.forward(x));
        }
        self.head.forward(self.norm.forward(x))
    }
}
