//! LLaMA: rotary positions, grouped-query attention, SwiGLU, a tied head; with a KV cache for decoding.

use arena::architecture::Llama as Config;
use candle_core::{Device, Module, Result, Tensor};
use candle_nn::kv_cache::KvCache;
use candle_nn::{Embedding, Linear, VarBuilder};

use crate::layers::{Form, RmsNorm, SwiGlu, attention, linear, rotate, split_heads};

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
    form: Form,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
}

impl Llama {
    pub fn new(config: Config, vb: &VarBuilder, form: Form) -> Result<Self> {
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let (queries, keys) = (config.query_width(), config.key_width());
        let vb = vb.pp("model");
        let embedding = vb.pp("embed_tokens").get((config.vocab_size, hidden), "weight")?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let vb = vb.pp("layers").pp(index);
                let attn = vb.pp("self_attn");
                Ok(Layer {
                    norm1: RmsNorm::new(&vb.pp("input_layernorm"), hidden, eps, form)?,
                    q: linear(&attn.pp("q_proj"), hidden, queries, false)?,
                    k: linear(&attn.pp("k_proj"), hidden, keys, false)?,
                    v: linear(&attn.pp("v_proj"), hidden, keys, false)?,
                    o: linear(&attn.pp("o_proj"), queries, hidden, false)?,
                    norm2: RmsNorm::new(&vb.pp("post_attention_layernorm"), hidden, eps, form)?,
                    mlp: SwiGlu::new(&vb.pp("mlp"), hidden, config.intermediate_size)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            norm: RmsNorm::new(&vb.pp("norm"), hidden, eps, form)?,
            head: Linear::new(embedding.clone(), None),
            embedding: Embedding::new(embedding, hidden),
            layers,
            config,
            form,
        })
    }

    /// An empty cache for `length` tokens.
    pub fn cache(&self, length: usize) -> Vec<KvCache> {
        self.layers.iter().map(|_| KvCache::new(1, length)).collect()
    }

    /// Cosines and sines of positions `past..past + time`, each (time, head_dim/2).
    pub fn rope_tables(&self, past: usize, time: usize, device: &Device) -> Result<(Tensor, Tensor)> {
        let head_dim = self.config.head_dim;
        let angles: Vec<f64> = (past..past + time)
            .flat_map(|position| {
                (0..head_dim).step_by(2).map(move |pair| (position as f64, pair as f64 / head_dim as f64))
            })
            .map(|(position, power)| position * self.config.rope_theta.powf(-power))
            .collect();
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(angle) as f32).collect();
            Tensor::from_vec(values, (time, head_dim / 2), device)
        };
        Ok((table(f64::cos)?, table(f64::sin)?))
    }

    /// Token ids (batch, time) to logits (batch, time, vocabulary) of every position.
    pub fn forward(&self, ids: &Tensor, tables: &(Tensor, Tensor)) -> Result<Tensor> {
        self.head.forward(&self.hidden(ids, tables, None)?)
    }

    /// Logits (batch, 1, vocabulary) of the last position of `ids`, which follow what `cache` holds.
    pub fn step(&self, ids: &Tensor, tables: &(Tensor, Tensor), cache: &mut [KvCache]) -> Result<Tensor> {
        let hidden = self.hidden(ids, tables, Some(cache))?;
        self.head.forward(&hidden.narrow(1, hidden.dim(1)? - 1, 1)?)
    }

    fn hidden(
        &self,
        ids: &Tensor,
        (cos, sin): &(Tensor, Tensor),
        mut cache: Option<&mut [KvCache]>,
    ) -> Result<Tensor> {
        let head_dim = self.config.head_dim;
        let mut x = self.embedding.forward(ids)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let normed = layer.norm1.forward(&x)?;
            let q = rotate(&split_heads(&layer.q.forward(&normed)?, head_dim)?, cos, sin, self.form)?;
            let mut k = rotate(&split_heads(&layer.k.forward(&normed)?, head_dim)?, cos, sin, self.form)?;
            let mut v = split_heads(&layer.v.forward(&normed)?, head_dim)?;
            if let Some(cache) = cache.as_deref_mut() {
                (k, v) = cache[index].append(&k.contiguous()?, &v.contiguous()?)?;
            }
            x = (x + layer.o.forward(&attention(&q, &k, &v, true, self.form)?)?)?;
            x = (&x + layer.mlp.forward(&layer.norm2.forward(&x)?)?)?;
        }
        self.norm.forward(&x)
    }
}
