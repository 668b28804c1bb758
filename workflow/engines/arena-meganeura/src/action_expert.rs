//! SmolVLA's action expert: layers attend in turn to the actions and to the context.

use arena::Result;
use arena::architecture::ActionExpert as Config;
use meganeura::graph::NodeId;

use crate::attention::{Attention, Seen};
use crate::network::Network;

/// The inputs `actions` (chunk, action_dim), `time` (1, time_dim) and `context` (length, context_dim) to
/// denoised actions (chunk, action_dim).
pub fn forward(network: &mut Network, config: &Config, chunk: usize, length: usize) -> Result<NodeId> {
    let (hidden, eps) = (config.hidden_size, config.rms_norm_eps as f32);
    let actions = network.graph.input("actions", &[chunk, config.action_dim]);
    let time = network.graph.input("time", &[1, config.time_dim]);
    let context = network.graph.input("context", &[length, config.context_dim]);
    let attention = Attention {
        width: hidden,
        heads: config.num_attention_heads,
        kv_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
        output: "o_proj",
        biases: false,
        rotary: None,
        seen: Seen::All,
    };
    let actions = network.linear(actions, "action_proj", hidden)?;
    let time = network.linear(time, "time_proj", hidden)?;
    let mut x = network.graph.broadcast_add(actions, time);
    let context = network.linear(context, "kv_proj", hidden)?;
    for index in 0..config.num_hidden_layers {
        let layer = format!("layers.{index}");
        let normed = network.rms_norm(x, &format!("{layer}.norm1"), eps)?;
        let source = if config.attends_to_context(index) { context } else { normed };
        x = attention.add(network, x, (normed, source), &format!("{layer}.attn"), |_, pair| pair)?;
        let normed = network.rms_norm(x, &format!("{layer}.norm2"), eps)?;
        x = network.add_swiglu(x, normed, &format!("{layer}.mlp"), config.intermediate_size)?;
    }
    let x = network.rms_norm(x, "norm", eps)?;
    network.linear(x, "head", config.action_dim)
}
