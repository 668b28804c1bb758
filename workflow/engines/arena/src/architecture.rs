//! What `config.json` says of each architecture, by the arena's own keys.

use serde::Deserialize;

/// SmolVLA's action expert.
#[derive(Clone, Debug, Deserialize)]
pub struct ActionExpert {
    pub action_dim: usize,
    pub time_dim: usize,
    pub context_dim: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub intermediate_size: usize,
    pub cross_attention_every: usize,
    pub rms_norm_eps: f64,
}

/// LLaMA: SmolLM2.
#[derive(Clone, Debug, Deserialize)]
pub struct Llama {
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub intermediate_size: usize,
    pub vocab_size: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
}

/// The U-Net.
#[derive(Clone, Debug, Deserialize)]
pub struct UNet {
    pub in_channels: usize,
    pub base_channels: usize,
    pub channel_multipliers: Vec<usize>,
    pub norm_groups: usize,
    pub norm_eps: f64,
}

/// ResNet.
#[derive(Clone, Debug, Deserialize)]
pub struct ResNet {
    pub in_channels: usize,
    pub width: usize,
    pub layers: Vec<usize>,
    pub expansion: usize,
    pub num_classes: usize,
    pub batch_norm_eps: f64,
}

/// Whisper.
#[derive(Clone, Debug, Deserialize)]
pub struct Whisper {
    pub d_model: usize,
    pub encoder_layers: usize,
    pub encoder_attention_heads: usize,
    pub encoder_ffn_dim: usize,
    pub decoder_layers: usize,
    pub decoder_attention_heads: usize,
    pub decoder_ffn_dim: usize,
    pub vocab_size: usize,
    pub num_mel_bins: usize,
    pub max_source_positions: usize,
    pub max_target_positions: usize,
}
