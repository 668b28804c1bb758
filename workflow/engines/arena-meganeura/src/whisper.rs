//! Whisper: an audio encoder and a text decoder, as in Hugging Face's checkpoints.

use arena::Result;
use arena::architecture::Whisper as Config;
use meganeura::graph::NodeId;

use crate::attention::{Attention, Seen};
use crate::network::Network;

/// Not in config.json: every checkpoint uses PyTorch's default.
const LAYER_NORM_EPS: f32 = 1e-5;

/// The inputs `input_features` (mel_bins, frames) and `decoder_input_ids` (time) to logits (time, vocabulary).
pub fn forward(network: &mut Network, config: &Config, frames: usize, time: usize) -> Result<NodeId> {
    let width = config.d_model;
    let audio = encode(network, config, frames)?;
    let ids = network.graph.input_u32("decoder_input_ids", &[time]);
    let embedding = network.whole("model.decoder.embed_tokens.weight", &[config.vocab_size, width])?;
    let positions = network.first_rows(
        "model.decoder.embed_positions.weight",
        [config.max_target_positions, width],
        time,
    )?;
    let x = network.graph.embedding(ids, embedding);
    let mut x = network.graph.add(x, positions);
    let own = attention(config, config.decoder_attention_heads, Seen::Causal);
    let cross = attention(config, config.decoder_attention_heads, Seen::All);
    for index in 0..config.decoder_layers {
        let layer = format!("model.decoder.layers.{index}");
        x = attend(network, x, None, &format!("{layer}.self_attn"), &own)?;
        x = attend(network, x, Some(audio), &format!("{layer}.encoder_attn"), &cross)?;
        x = feed_forward(network, x, &layer, config.decoder_ffn_dim)?;
    }
    let x = network.layer_norm(x, "model.decoder.layer_norm", LAYER_NORM_EPS)?;
    Ok(network.graph.matmul_bt(x, embedding))
}

/// The spectrogram to the encoder's hidden states (source_positions, width).
fn encode(network: &mut Network, config: &Config, frames: usize) -> Result<NodeId> {
    let width = config.d_model;
    let features = network.graph.input("input_features", &[config.num_mel_bins * frames]);
    let x = convolution(network, features, "conv1", [config.num_mel_bins, width, frames], 1)?;
    let x = network.gelu(x);
    let x = network.graph.transpose(x);
    let x = network.graph.reshape(x, &[width * frames]);
    let x = convolution(network, x, "conv2", [width, width, frames], 2)?;
    let x = network.gelu(x);
    let positions =
        network.whole("model.encoder.embed_positions.weight", &[config.max_source_positions, width])?;
    let mut x = network.graph.add(x, positions);
    let own = attention(config, config.encoder_attention_heads, Seen::All);
    for index in 0..config.encoder_layers {
        let layer = format!("model.encoder.layers.{index}");
        x = attend(network, x, None, &format!("{layer}.self_attn"), &own)?;
        x = feed_forward(network, x, &layer, config.encoder_ffn_dim)?;
    }
    network.layer_norm(x, "model.encoder.layer_norm", LAYER_NORM_EPS)
}

/// A convolution over time of kernel 3 with a bias, which keeps the length, divided by `stride`: flat
/// (entering, length) to (length / stride, leaving).
fn convolution(
    network: &mut Network,
    x: NodeId,
    name: &str,
    [entering, leaving, length]: [usize; 3],
    stride: usize,
) -> Result<NodeId> {
    let name = format!("model.encoder.{name}");
    let shape = [leaving, entering, 3];
    let weight = network.parameter(&format!("{name}.weight"), &shape, &[shape.iter().product()])?;
    let (channels, leaving_channels, rows) = (entering as u32, leaving as u32, length as u32);
    let graph = &mut network.graph;
    let y = graph.conv2d_hw(x, weight, 1, channels, rows, 1, leaving_channels, 3, 1, stride as u32, 1, 0);
    let y = graph.reshape(y, &[leaving, length.div_ceil(stride)]);
    let y = graph.transpose(y);
    network.add_bias(y, &name)
}

fn attention(config: &Config, heads: usize, seen: Seen) -> Attention {
    Attention {
        width: config.d_model,
        heads,
        kv_heads: heads,
        head_dim: config.head_dim(heads),
        output: "out_proj",
        biases: true,
        rotary: None,
        seen,
    }
}

/// `x` plus what it attends to: in `source`, or in itself.
fn attend(
    network: &mut Network,
    x: NodeId,
    source: Option<NodeId>,
    name: &str,
    attention: &Attention,
) -> Result<NodeId> {
    let normed = network.layer_norm(x, &format!("{name}_layer_norm"), LAYER_NORM_EPS)?;
    attention.add(network, x, (normed, source.unwrap_or(normed)), name, |_, pair| pair)
}

fn feed_forward(network: &mut Network, x: NodeId, layer: &str, inner: usize) -> Result<NodeId> {
    let width = network.shape(x)[1];
    let normed = network.layer_norm(x, &format!("{layer}.final_layer_norm"), LAYER_NORM_EPS)?;
    let h = network.linear(normed, &format!("{layer}.fc1"), inner)?;
    let h = network.add_bias(h, &format!("{layer}.fc1"))?;
    let h = network.gelu(h);
    let h = network.linear(h, &format!("{layer}.fc2"), width)?;
    let h = network.add_bias(h, &format!("{layer}.fc2"))?;
    Ok(network.graph.add(x, h))
}
