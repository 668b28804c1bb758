//! Whisper: an audio encoder and a text decoder, as in Hugging Face's checkpoints.

use arena::Result;
use arena::architecture::Whisper as Config;
use burn::tensor::activation::gelu;
use burn::tensor::{Int, Tensor, module};

use crate::conv::Conv1d;
use crate::layers::{LayerNorm, Linear, attention, split_heads};
use crate::weights::Weights;

/// Not in config.json: every checkpoint uses PyTorch's default.
const LAYER_NORM_EPS: f64 = 1e-5;

/// Attention from `x` to `source`; the keys have no bias.
struct Attention {
    norm: LayerNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    head_dim: usize,
}

impl Attention {
    fn new(weights: &Weights, name: &str, width: usize, head_dim: usize) -> Result<Self> {
        let attn = weights.at(name);
        Ok(Self {
            norm: LayerNorm::new(&weights.at(format!("{name}_layer_norm")), width, LAYER_NORM_EPS)?,
            q: Linear::new(&attn.at("q_proj"), width, width, true)?,
            k: Linear::new(&attn.at("k_proj"), width, width, false)?,
            v: Linear::new(&attn.at("v_proj"), width, width, true)?,
            out: Linear::new(&attn.at("out_proj"), width, width, true)?,
            head_dim,
        })
    }

    /// `x` plus what it attends to: in `source`, or in itself.
    fn forward(&self, x: Tensor<3>, source: Option<&Tensor<3>>, causal: bool) -> Tensor<3> {
        let normed = self.norm.forward(x.clone());
        let source = source.unwrap_or(&normed);
        let q = split_heads(self.q.forward(normed.clone()), self.head_dim);
        let k = split_heads(self.k.forward(source.clone()), self.head_dim);
        let v = split_heads(self.v.forward(source.clone()), self.head_dim);
        x + self.out.forward(attention(q, k, v, causal))
    }
}

struct FeedForward {
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl FeedForward {
    fn new(weights: &Weights, width: usize, inner: usize) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::new(&weights.at("final_layer_norm"), width, LAYER_NORM_EPS)?,
            fc1: Linear::new(&weights.at("fc1"), width, inner, true)?,
            fc2: Linear::new(&weights.at("fc2"), inner, width, true)?,
        })
    }

    /// `x` plus what the layer makes of it.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        x.clone() + self.fc2.forward(gelu(self.fc1.forward(self.norm.forward(x))))
    }
}

struct DecoderLayer {
    own: Attention,
    audio: Attention,
    feed_forward: FeedForward,
}

pub struct Whisper {
    conv1: Conv1d,
    conv2: Conv1d,
    source_positions: Tensor<2>,
    encoder: Vec<(Attention, FeedForward)>,
    encoder_norm: LayerNorm,
    embedding: Tensor<2>,
    target_positions: Tensor<2>,
    decoder: Vec<DecoderLayer>,
    decoder_norm: LayerNorm,
    head: Linear,
}

impl Whisper {
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let (weights, width) = (weights.at("model"), config.d_model);
        let audio = weights.at("encoder");
        let head_dim = config.head_dim(config.encoder_attention_heads);
        let encoder = (0..config.encoder_layers)
            .map(|index| {
                let weights = audio.at("layers").at(index);
                Ok((
                    Attention::new(&weights, "self_attn", width, head_dim)?,
                    FeedForward::new(&weights, width, config.encoder_ffn_dim)?,
                ))
            })
            .collect::<Result<_>>()?;
        let text = weights.at("decoder");
        let head_dim = config.head_dim(config.decoder_attention_heads);
        let decoder = (0..config.decoder_layers)
            .map(|index| {
                let weights = text.at("layers").at(index);
                Ok(DecoderLayer {
                    own: Attention::new(&weights, "self_attn", width, head_dim)?,
                    audio: Attention::new(&weights, "encoder_attn", width, head_dim)?,
                    feed_forward: FeedForward::new(&weights, width, config.decoder_ffn_dim)?,
                })
            })
            .collect::<Result<_>>()?;
        let embedding = text.at("embed_tokens").get("weight", [config.vocab_size, width])?;
        let positions =
            |weights: &Weights, count| weights.at("embed_positions").get("weight", [count, width]);
        Ok(Self {
            conv1: Conv1d::new(&audio.at("conv1"), config.num_mel_bins, width, 1)?,
            conv2: Conv1d::new(&audio.at("conv2"), width, width, 2)?,
            source_positions: positions(&audio, config.max_source_positions)?,
            encoder,
            encoder_norm: LayerNorm::new(&audio.at("layer_norm"), width, LAYER_NORM_EPS)?,
            head: Linear::tied(&embedding),
            embedding,
            target_positions: positions(&text, config.max_target_positions)?,
            decoder,
            decoder_norm: LayerNorm::new(&text.at("layer_norm"), width, LAYER_NORM_EPS)?,
        })
    }

    /// Spectrogram (batch, mel_bins, frames) and ids (batch, time) to logits (batch, time, vocabulary).
    pub fn forward(&self, features: Tensor<3>, ids: Tensor<2, Int>) -> Tensor<3> {
        let x = gelu(self.conv1.forward(features));
        let x = gelu(self.conv2.forward(x)).swap_dims(1, 2);
        let mut x = x + self.source_positions.clone().unsqueeze::<3>();
        for (attention, feed_forward) in &self.encoder {
            x = feed_forward.forward(attention.forward(x, None, false));
        }
        let audio = self.encoder_norm.forward(x);

        let positions = self.target_positions.clone().narrow(0, 0, ids.dims()[1]);
        let mut x = module::embedding(self.embedding.clone(), ids) + positions.unsqueeze::<3>();
        for layer in &self.decoder {
            x = layer.own.forward(x, None, true);
            x = layer.audio.forward(x, Some(&audio), false);
            x = layer.feed_forward.forward(x);
        }
        self.head.forward(self.decoder_norm.forward(x))
    }
}
