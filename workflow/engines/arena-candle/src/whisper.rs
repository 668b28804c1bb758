//! Whisper: an audio encoder and a text decoder, as in Hugging Face's checkpoints.

use arena::architecture::Whisper as Config;
use candle_core::{Module, Result, Tensor};
use candle_nn::{Conv1d, Conv1dConfig, Embedding, Linear, VarBuilder};

use crate::layers::{Form, LayerNorm, attention, linear, split_heads};

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
    form: Form,
}

impl Attention {
    fn new(vb: &VarBuilder, name: &str, width: usize, head_dim: usize, form: Form) -> Result<Self> {
        let attn = vb.pp(name);
        Ok(Self {
            norm: LayerNorm::new(&vb.pp(format!("{name}_layer_norm")), width, LAYER_NORM_EPS, form)?,
            q: linear(&attn.pp("q_proj"), width, width, true)?,
            k: linear(&attn.pp("k_proj"), width, width, false)?,
            v: linear(&attn.pp("v_proj"), width, width, true)?,
            out: linear(&attn.pp("out_proj"), width, width, true)?,
            head_dim,
            form,
        })
    }

    /// `x` plus what it attends to: in `source`, or in itself.
    fn forward(&self, x: &Tensor, source: Option<&Tensor>, causal: bool) -> Result<Tensor> {
        let normed = self.norm.forward(x)?;
        let source = source.unwrap_or(&normed);
        let q = split_heads(&self.q.forward(&normed)?, self.head_dim)?;
        let k = split_heads(&self.k.forward(source)?, self.head_dim)?;
        let v = split_heads(&self.v.forward(source)?, self.head_dim)?;
        x + self.out.forward(&attention(&q, &k, &v, causal, self.form)?)?
    }
}

struct FeedForward {
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl FeedForward {
    fn new(vb: &VarBuilder, width: usize, inner: usize, form: Form) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::new(&vb.pp("final_layer_norm"), width, LAYER_NORM_EPS, form)?,
            fc1: linear(&vb.pp("fc1"), width, inner, true)?,
            fc2: linear(&vb.pp("fc2"), inner, width, true)?,
        })
    }
}

impl Module for FeedForward {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x + self.fc2.forward(&self.fc1.forward(&self.norm.forward(x)?)?.gelu_erf()?)?
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
    source_positions: Tensor,
    encoder: Vec<(Attention, FeedForward)>,
    encoder_norm: LayerNorm,
    embedding: Embedding,
    target_positions: Tensor,
    decoder: Vec<DecoderLayer>,
    decoder_norm: LayerNorm,
    head: Linear,
}

impl Whisper {
    pub fn new(config: &Config, vb: &VarBuilder, form: Form) -> Result<Self> {
        let (vb, width) = (vb.pp("model"), config.d_model);
        let audio = vb.pp("encoder");
        let head_dim = config.head_dim(config.encoder_attention_heads);
        let encoder = (0..config.encoder_layers)
            .map(|index| {
                let vb = audio.pp("layers").pp(index);
                Ok((
                    Attention::new(&vb, "self_attn", width, head_dim, form)?,
                    FeedForward::new(&vb, width, config.encoder_ffn_dim, form)?,
                ))
            })
            .collect::<Result<_>>()?;
        let text = vb.pp("decoder");
        let head_dim = config.head_dim(config.decoder_attention_heads);
        let decoder = (0..config.decoder_layers)
            .map(|index| {
                let vb = text.pp("layers").pp(index);
                Ok(DecoderLayer {
                    own: Attention::new(&vb, "self_attn", width, head_dim, form)?,
                    audio: Attention::new(&vb, "encoder_attn", width, head_dim, form)?,
                    feed_forward: FeedForward::new(&vb, width, config.decoder_ffn_dim, form)?,
                })
            })
            .collect::<Result<_>>()?;
        let embedding = text.pp("embed_tokens").get((config.vocab_size, width), "weight")?;
        let positions = |vb: &VarBuilder, count| vb.pp("embed_positions").get((count, width), "weight");
        Ok(Self {
            conv1: convolution(&audio.pp("conv1"), config.num_mel_bins, width, 1)?,
            conv2: convolution(&audio.pp("conv2"), width, width, 2)?,
            source_positions: positions(&audio, config.max_source_positions)?,
            encoder,
            encoder_norm: LayerNorm::new(&audio.pp("layer_norm"), width, LAYER_NORM_EPS, form)?,
            head: Linear::new(embedding.clone(), None),
            embedding: Embedding::new(embedding, width),
            target_positions: positions(&text, config.max_target_positions)?,
            decoder,
            decoder_norm: LayerNorm::new(&text.pp("layer_norm"), width, LAYER_NORM_EPS, form)?,
        })
    }

    /// Spectrogram (batch, mel_bins, frames) and ids (batch, time) to logits (batch, time, vocabulary).
    pub fn forward(&self, features: &Tensor, ids: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward(features)?.gelu_erf()?;
        let x = self.conv2.forward(&x)?.gelu_erf()?.transpose(1, 2)?.contiguous()?;
        let mut x = x.broadcast_add(&self.source_positions)?;
        for (attention, feed_forward) in &self.encoder {
            x = feed_forward.forward(&attention.forward(&x, None, false)?)?;
        }
        let audio = self.encoder_norm.forward(&x)?;

        let positions = self.target_positions.narrow(0, 0, ids.dim(1)?)?;
        let mut x = self.embedding.forward(ids)?.broadcast_add(&positions)?;
        for layer in &self.decoder {
            x = layer.own.forward(&x, None, true)?;
            x = layer.audio.forward(&x, Some(&audio), false)?;
            x = layer.feed_forward.forward(&x)?;
        }
        self.head.forward(&self.decoder_norm.forward(&x)?)
    }
}

/// A convolution over time of kernel 3 with a bias, which keeps the length, divided by `stride`.
fn convolution(vb: &VarBuilder, entering: usize, leaving: usize, stride: usize) -> Result<Conv1d> {
    let config = Conv1dConfig { padding: 1, stride, ..Default::default() };
    Ok(Conv1d::new(vb.get((leaving, entering, 3), "weight")?, Some(vb.get(leaving, "bias")?), config))
}
