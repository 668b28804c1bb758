//! LLaMA: rotary positions, grouped-query attention, SwiGLU, a tied head; with a KV cache for decoding.

use arena::Result;
use arena::architecture::Llama as Config;
use burn::nn::RmsNorm;
use burn::tensor::{Device, Int, Tensor, module, s};

use crate::layers::{Linear, Rotary, SwiGlu, attention, rms_norm, split_heads};
use crate::weights::Weights;

struct Layer {
    norm1: RmsNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    norm2: RmsNorm,
    mlp: SwiGlu,
}

pub struct Llama {
    config: Config,
    embedding: Tensor<2>,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
}

/// One layer's keys and values, (1, kv_heads, length, head_dim), of which the first `filled` positions count.
pub struct Cache {
    keys: Tensor<4>,
    values: Tensor<4>,
    filled: usize,
}

impl Cache {
    /// Write behind what is there; return all that is there now. The buffers have no other owner when they
    /// are written, so Burn writes in place.
    fn append(&mut self, keys: Tensor<4>, values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [.., time, _] = keys.dims();
        let (start, end) = (self.filled, self.filled + time);
        self.keys.inplace(|buffer| buffer.slice_assign(s![.., .., start..end, ..], keys));
        self.values.inplace(|buffer| buffer.slice_assign(s![.., .., start..end, ..], values));
        self.filled = end;
        (self.keys.clone().narrow(2, 0, end), self.values.clone().narrow(2, 0, end))
    }
}

impl Llama {
    pub fn new(config: Config, weights: &Weights) -> Result<Self> {
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let (queries, keys) = (config.query_width(), config.key_width());
        let weights = weights.at("model");
        let embedding = weights.at("embed_tokens").get("weight", [config.vocab_size, hidden])?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let weights = weights.at("layers").at(index);
                let attn = weights.at("self_attn");
                Ok(Layer {
                    norm1: rms_norm(&weights.at("input_layernorm"), hidden, eps)?,
                    q: Linear::new(&attn.at("q_proj"), hidden, queries, false)?,
                    k: Linear::new(&attn.at("k_proj"), hidden, keys, false)?,
                    v: Linear::new(&attn.at("v_proj"), hidden, keys, false)?,
                    o: Linear::new(&attn.at("o_proj"), queries, hidden, false)?,
                    norm2: rms_norm(&weights.at("post_attention_layernorm"), hidden, eps)?,
                    mlp: SwiGlu::new(&weights.at("mlp"), hidden, config.intermediate_size)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            norm: rms_norm(&weights.at("norm"), hidden, eps)?,
            head: Linear::tied(&embedding),
            embedding,
            layers,
            config,
        })
    }

    /// An empty cache for `length` tokens.
    pub fn cache(&self, length: usize) -> Vec<Cache> {
        let shape = [1, self.config.num_key_value_heads, length, self.config.head_dim];
        let empty = || Tensor::zeros(shape, &self.embedding.device());
        self.layers.iter().map(|_| Cache { keys: empty(), values: empty(), filled: 0 }).collect()
    }

    /// The rotary embedding of positions 0, 1, …
    pub fn rotary(&self, positions: usize, device: &Device) -> Rotary {
        Rotary::new(positions, self.config.head_dim, self.config.rope_theta, device)
    }

    /// Token ids (batch, time) to logits (batch, time, vocabulary) of every position.
    pub fn forward(&self, ids: Tensor<2, Int>, rotary: &Rotary) -> Tensor<3> {
        self.head.forward(self.hidden(ids, rotary, None))
    }

    /// Logits (1, 1, vocabulary) of the last position of `ids`, which follow what `cache` holds; `rotary` is
    /// that of their positions.
    pub fn step(&self, ids: Tensor<2, Int>, rotary: &Rotary, cache: &mut [Cache]) -> Tensor<3> {
        let hidden = self.hidden(ids, rotary, Some(cache));
        let last = hidden.dims()[1] - 1;
        self.head.forward(hidden.narrow(1, last, 1))
    }

    fn hidden(&self, ids: Tensor<2, Int>, rotary: &Rotary, mut cache: Option<&mut [Cache]>) -> Tensor<3> {
        let head_dim = self.config.head_dim;
        let mut x = module::embedding(self.embedding.clone(), ids);
        for (index, layer) in self.layers.iter().enumerate() {
            let normed = layer.norm1.forward(x.clone());
            let q = rotary.rotate(split_heads(layer.q.forward(normed.clone()), head_dim));
            let mut k = rotary.rotate(split_heads(layer.k.forward(normed.clone()), head_dim));
            let mut v = split_heads(layer.v.forward(normed), head_dim);
            if let Some(cache) = cache.as_deref_mut() {
                (k, v) = cache[index].append(k, v);
            }
            x = x + layer.o.forward(attention(q, k, v, true));
            x = x.clone() + layer.mlp.forward(layer.norm2.forward(x));
        }
        self.norm.forward(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::tests::{assert_close, waves};

    #[test]
    fn decoding_with_a_cache_agrees_with_one_pass() -> Result<()> {
        let config = Config {
            hidden_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 4,
            intermediate_size: 6,
            vocab_size: 5,
            rms_norm_eps: 1e-5,
            rope_theta: 10000.0,
        };
        let checkpoint = waves(&[
            ("model.embed_tokens.weight", &[5, 8]),
            ("model.layers.0.input_layernorm.weight", &[8]),
            ("model.layers.0.self_attn.q_proj.weight", &[16, 8]),
            ("model.layers.0.self_attn.k_proj.weight", &[8, 8]),
            ("model.layers.0.self_attn.v_proj.weight", &[8, 8]),
            ("model.layers.0.self_attn.o_proj.weight", &[8, 16]),
            ("model.layers.0.post_attention_layernorm.weight", &[8]),
            ("model.layers.0.mlp.gate_proj.weight", &[6, 8]),
            ("model.layers.0.mlp.up_proj.weight", &[6, 8]),
            ("model.layers.0.mlp.down_proj.weight", &[8, 6]),
            ("model.norm.weight", &[8]),
        ]);
        let model = Llama::new(config, &Weights::new(&checkpoint, None))?;
        let ids: Tensor<2, Int> = Tensor::from_data([[1, 4, 0, 2, 3]], &Device::flex());
        let rotary = model.rotary(5, &ids.device());
        let whole = model.forward(ids.clone(), &rotary);
        let mut cache = model.cache(5);
        for (start, count) in [(0, 3), (3, 1), (4, 1)] {
            let part = ids.clone().narrow(1, start, count);
            let logits = model.step(part, &rotary.narrow(start, count), &mut cache);
            assert_close(logits, whole.clone().narrow(1, start + count - 1, 1), 1e-5);
        }
        Ok(())
    }
}
