//! Whisper: an audio encoder and a text decoder, as in Hugging Face's checkpoints.

use std::ops::Deref;

use arena::architecture::Whisper as Architecture;
use arena::{Failure, Result};
use luminal::prelude::symbolic::Expression;
use luminal::prelude::{Axes2, Axis, GraphTensor};

use crate::attention::{Attention, Heads, causal_mask};
use crate::layers::{biased, gather, gelu, layer_norm, linear, project, rows};
use crate::program::{Builder, Matrix, Rank3, Size, Vector, reshape, size};
use crate::weights::Weights;

/// Not in config.json: every checkpoint uses PyTorch's default.
const LAYER_NORM_EPS: f32 = 1e-5;

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
    fn heads(&self, count: usize) -> Heads {
        Heads { kv: count, groups: 1, dim: self.head_dim(count), out: "out_proj", biased: true }
    }

    /// Cut the attentions' weights into those of their heads, and the kernels into their taps.
    pub fn split(&self, weights: &mut Weights) -> Result<()> {
        for index in 0..self.encoder_layers {
            let layer = format!("model.encoder.layers.{index}");
            self.heads(self.encoder_attention_heads).split(weights, &format!("{layer}.self_attn"))?;
        }
        for index in 0..self.decoder_layers {
            let layer = format!("model.decoder.layers.{index}");
            let heads = self.heads(self.decoder_attention_heads);
            heads.split(weights, &format!("{layer}.self_attn"))?;
            heads.split(weights, &format!("{layer}.encoder_attn"))?;
        }
        weights.split_taps("model.encoder.conv1.weight")?;
        weights.split_taps("model.encoder.conv2.weight")
    }

    fn feed_forward(&self, cx: &mut Builder, layer: &str, x: Matrix, inner: usize) -> Result<Matrix> {
        let normed = layer_norm(cx, &format!("{layer}.final_layer_norm"), x, LAYER_NORM_EPS)?;
        let h = gelu(biased(cx, &format!("{layer}.fc1"), normed, inner)?);
        Ok(x + biased(cx, &format!("{layer}.fc2"), h, self.d_model)?)
    }

    /// Spectrogram (mel_bins, frames) to audio states (frames / 2, d_model).
    fn encode(&self, cx: &mut Builder, features: Matrix) -> Result<Matrix> {
        let features = features.permute::<_, Axes2<1, 0>>().contiguous();
        let x = gelu(convolve(cx, "model.encoder.conv1", features, self.d_model, 1)?);
        let x = gelu(convolve(cx, "model.encoder.conv2", x, self.d_model, 2)?);
        if size(x, 0) != self.max_source_positions {
            let (found, expected) = (size(x, 0), self.max_source_positions);
            return Err(Failure::Error(format!("{found} audio positions; the model has {expected}")));
        }
        let sizes = [self.max_source_positions, self.d_model];
        let positions: Matrix = cx.weight("model.encoder.embed_positions.weight", &sizes)?;
        let mut x = x + positions;
        let mut attention = Attention::new(self.heads(self.encoder_attention_heads));
        for index in 0..self.encoder_layers {
            let layer = format!("model.encoder.layers.{index}");
            x = attend(cx, &format!("{layer}.self_attn"), x, None, &mut attention)?;
            x = self.feed_forward(cx, &layer, x, self.encoder_ffn_dim)?;
        }
        layer_norm(cx, "model.encoder.layer_norm", x, LAYER_NORM_EPS)
    }

    /// Spectrogram (mel_bins, frames) and ids (time) to logits (time, vocabulary).
    pub fn forward(&self, cx: &mut Builder, features: Matrix, ids: Vector) -> Result<Matrix> {
        let audio = self.encode(cx, features)?;
        let time = size(ids, 0);
        let embedding: Matrix =
            cx.weight("model.decoder.embed_tokens.weight", &[self.vocab_size, self.d_model])?;
        let sizes = [self.max_target_positions, self.d_model];
        let positions: Matrix = cx.weight("model.decoder.embed_positions.weight", &sizes)?;
        let mut x = gather(embedding, ids) + rows(positions, 0, time);
        let heads = self.heads(self.decoder_attention_heads);
        let mut own = Attention { mask: causal_mask(cx, heads, time)?, ..Attention::new(heads) };
        let mut across = Attention::new(heads);
        for index in 0..self.decoder_layers {
            let layer = format!("model.decoder.layers.{index}");
            x = attend(cx, &format!("{layer}.self_attn"), x, None, &mut own)?;
            x = attend(cx, &format!("{layer}.encoder_attn"), x, Some(audio), &mut across)?;
            x = self.feed_forward(cx, &layer, x, self.decoder_ffn_dim)?;
        }
        let x = layer_norm(cx, "model.decoder.layer_norm", x, LAYER_NORM_EPS)?;
        Ok(project(x, embedding))
    }
}

/// `x` plus what the attention `prefix` finds in `source`, or in itself.
fn attend(
    cx: &mut Builder,
    prefix: &str,
    x: Matrix,
    source: Option<Matrix>,
    attention: &mut Attention,
) -> Result<Matrix> {
    let normed = layer_norm(cx, &format!("{prefix}_layer_norm"), x, LAYER_NORM_EPS)?;
    Ok(x + attention.forward(cx, prefix, normed, source.unwrap_or(normed))?)
}

/// A convolution over the rows of `x` (time, channels), of kernel 3, with a bias, which keeps their number,
/// divided by `stride`: the sum of a matrix product for each of the kernel's taps.
fn convolve(cx: &mut Builder, prefix: &str, x: Matrix, out: usize, stride: usize) -> Result<Matrix> {
    let (time, channels) = (size(x, 0), size(x, 1));
    let leaving = time.div_ceil(stride);
    let strides = leaving + 2 / stride;
    let padded = x.pad::<(Size, Size), _, _>(&[(1, strides * stride - time - 1), (0, 0)]).contiguous();
    let padded: GraphTensor<Rank3> = reshape(padded, &[strides, stride, channels]);
    let bias: Vector = cx.weight(&format!("{prefix}.bias"), &[out])?;
    let mut sum = bias.expand::<(Size, Size), Axis<0>>();
    for tap in 0..3 {
        let from = |start: usize, count: usize| Expression::from(start)..Expression::from(start + count);
        let window = padded.slice((from(tap / stride, leaving), from(tap % stride, 1), ..));
        let window: Matrix = reshape(window, &[leaving, channels]);
        sum = linear(cx, &format!("{prefix}.weight.{tap}"), window, out)? + sum;
    }
    Ok(sum)
}
