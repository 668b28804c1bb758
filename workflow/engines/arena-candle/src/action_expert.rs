//! SmolVLA's action expert: layers attend in turn to the actions and to the context.

use arena::architecture::ActionExpert as Config;
use candle_core::{Module, Result, Tensor};
use candle_nn::{Linear, VarBuilder};

use crate::layers::{Form, RmsNorm, SwiGlu, attention, linear, split_heads};

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
    form: Form,
}

impl ActionExpert {
    pub fn new(config: &Config, vb: &VarBuilder, form: Form) -> Result<Self> {
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let (queries, keys) = (config.query_width(), config.key_width());
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let vb = vb.pp("layers").pp(index);
                let attn = vb.pp("attn");
                Ok(Layer {
                    cross: config.attends_to_context(index),
                    norm1: RmsNorm::new(&vb.pp("norm1"), hidden, eps, form)?,
                    q: linear(&attn.pp("q_proj"), hidden, queries, false)?,
                    k: linear(&attn.pp("k_proj"), hidden, keys, false)?,
                    v: linear(&attn.pp("v_proj"), hidden, keys, false)?,
                    o: linear(&attn.pp("o_proj"), queries, hidden, false)?,
                    norm2: RmsNorm::new(&vb.pp("norm2"), hidden, eps, form)?,
                    mlp: SwiGlu::new(&vb.pp("mlp"), hidden, config.intermediate_size)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            action: linear(&vb.pp("action_proj"), config.action_dim, hidden, false)?,
            time: linear(&vb.pp("time_proj"), config.time_dim, hidden, false)?,
            context: linear(&vb.pp("kv_proj"), config.context_dim, hidden, false)?,
            layers,
            norm: RmsNorm::new(&vb.pp("norm"), hidden, eps, form)?,
            head: linear(&vb.pp("head"), hidden, config.action_dim, false)?,
            head_dim: config.head_dim,
            form,
        })
    }

    /// Noisy actions to denoised actions, both (batch, chunk, action_dim); `time` is (batch, 1, time_dim),
    /// `context` is (batch, length, context_dim).
    pub fn forward(&self, actions: &Tensor, time: &Tensor, context: &Tensor) -> Result<Tensor> {
        let mut x = self.action.forward(actions)?.broadcast_add(&self.time.forward(time)?)?;
        let context = self.context.forward(context)?;
        for layer in &self.layers {
            let normed = layer.norm1.forward(&x)?;
            let source = if layer.cross { &context } else { &normed };
            let q = split_heads(&layer.q.forward(&normed)?, self.head_dim)?;
            let k = split_heads(&layer.k.forward(source)?, self.head_dim)?;
            let v = split_heads(&layer.v.forward(source)?, self.head_dim)?;
            x = (x + layer.o.forward(&attention(&q, &k, &v, false, self.form)?)?)?;
            x = (&x + layer.mlp.forward(&layer.norm2.forward(&x)?)?)?;
        }
        self.head.forward(&self.norm.forward(&x)?)
    }
}
