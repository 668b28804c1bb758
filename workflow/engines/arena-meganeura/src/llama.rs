//! LLaMA: rotary positions, grouped-query attention, SwiGLU, a tied head; with a KV cache for decoding.

use arena::Result;
use arena::architecture::Llama as Config;
use meganeura::graph::NodeId;

use crate::attention::{Attention, Rotary, Seen};
use crate::network::Network;

/// What a pass does with the keys and values of each layer.
pub enum Cache {
    /// Nothing.
    None,
    /// They are outputs of the graph: to be filled by the pass over the prompt.
    Fill(Vec<(NodeId, NodeId)>),
    /// They are written at `position` into buffers of `length` rows, which are attended to.
    Append { length: usize, position: NodeId },
}

impl Cache {
    /// Given a layer's keys and values, the ones to attend to.
    fn see(
        &mut self,
        network: &mut Network,
        layer: usize,
        (keys, values): (NodeId, NodeId),
    ) -> (NodeId, NodeId) {
        match self {
            Self::None => (keys, values),
            Self::Fill(pairs) => {
                pairs.push((keys, values));
                (keys, values)
            }
            Self::Append { length, position } => {
                let [key_name, value_name] = cache_names(layer);
                let mut append = |name: &str, row| {
                    let width = network.shape(row)[1];
                    let buffer = network.graph.parameter(name, &[*length, width]);
                    // Attention reads what the write returns: the same buffer, but after it.
                    network.graph.cache_write(row, buffer, *position)
                };
                (append(&key_name, keys), append(&value_name, values))
            }
        }
    }
}

/// The names of the buffers of the keys and values of a layer.
pub fn cache_names(layer: usize) -> [String; 2] {
    ["keys", "values"].map(|kind| format!("cache.{layer}.{kind}"))
}

/// The input `input_ids` (time) to logits (time, vocabulary) of every position.
pub fn forward(network: &mut Network, config: &Config, time: usize) -> Result<NodeId> {
    let (hidden, embedding) = hidden(network, config, time, &mut Cache::None)?;
    Ok(network.graph.matmul_bt(hidden, embedding))
}

/// The prompt `input_ids` (time) to the logits (1, vocabulary) of its last position, and the keys and values
/// (time, kv_heads · head_dim) of every layer.
pub fn prefill(network: &mut Network, config: &Config, time: usize) -> Result<Vec<NodeId>> {
    let mut cache = Cache::Fill(Vec::new());
    let (hidden, embedding) = hidden(network, config, time, &mut cache)?;
    let last = network.last_row(hidden);
    let mut outputs = vec![network.graph.matmul_bt(last, embedding)];
    if let Cache::Fill(pairs) = cache {
        outputs.extend(pairs.into_iter().flat_map(|(keys, values)| [keys, values]));
    }
    Ok(outputs)
}

/// One token, `input_ids` (1), to its logits (1, vocabulary). The inputs `position` (1) and `mask` (1, length),
/// 0 up to the position and very negative beyond, say how much of the cache is filled.
pub fn step(network: &mut Network, config: &Config, length: usize) -> Result<NodeId> {
    let position = network.graph.input_u32("position", &[1]);
    let (hidden, embedding) = hidden(network, config, 1, &mut Cache::Append { length, position })?;
    Ok(network.graph.matmul_bt(hidden, embedding))
}

/// Normalised hidden states (time, hidden), and the embedding.
fn hidden(
    network: &mut Network,
    config: &Config,
    time: usize,
    cache: &mut Cache,
) -> Result<(NodeId, NodeId)> {
    let (size, eps) = (config.hidden_size, config.rms_norm_eps as f32);
    let ids = network.graph.input_u32("input_ids", &[time]);
    let (offset, seen) = match cache {
        Cache::Append { length, position } => {
            let mask = network.graph.input("mask", &[1, *length]);
            (Some(*position), Seen::Cache { position: *position, mask })
        }
        _ => (None, Seen::Causal),
    };
    let attention = Attention {
        width: size,
        heads: config.num_attention_heads,
        kv_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
        output: "o_proj",
        biases: false,
        rotary: Some(Rotary { theta: config.rope_theta as f32, offset }),
        seen,
    };
    let embedding = network.whole("model.embed_tokens.weight", &[config.vocab_size, size])?;
    let mut x = network.graph.embedding(ids, embedding);
    for index in 0..config.num_hidden_layers {
        let layer = format!("model.layers.{index}");
        let normed = network.rms_norm(x, &format!("{layer}.input_layernorm"), eps)?;
        let name = format!("{layer}.self_attn");
        x = attention
            .add(network, x, (normed, normed), &name, |network, pair| cache.see(network, index, pair))?;
        let normed = network.rms_norm(x, &format!("{layer}.post_attention_layernorm"), eps)?;
        x = network.add_swiglu(x, normed, &format!("{layer}.mlp"), config.intermediate_size)?;
    }
    Ok((network.rms_norm(x, "model.norm", eps)?, embedding))
}
