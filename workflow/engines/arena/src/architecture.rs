//! What `config.json` says of each architecture, by the arena's own keys, and the widths that follow from it.

use serde::Deserialize;

use crate::{Failure, Job, Result};

/// The architecture that a job's definition names, with its sizes.
#[derive(Clone, Debug)]
pub enum Definition {
    Llama(Llama),
    ActionExpert(ActionExpert),
    UNet(UNet),
    ResNet(ResNet),
    Whisper(Whisper),
}

impl Definition {
    /// The job's architecture; `unsupported-model` for one that is not among these.
    pub fn of(job: &Job) -> Result<Self> {
        Ok(match job.cell.definition.as_str() {
            "llama" => Self::Llama(job.architecture()?),
            "action_expert" => Self::ActionExpert(job.architecture()?),
            "unet" => Self::UNet(job.architecture()?),
            "resnet" => Self::ResNet(job.architecture()?),
            "whisper" => Self::Whisper(job.architecture()?),
            other => {
                return Err(Failure::unsupported(
                    "unsupported-model",
                    format!("The engines have no definition {other}."),
                ));
            }
        })
    }

    /// The job's language model; `unsupported-model` for any other architecture.
    pub fn language_model(job: &Job) -> Result<Llama> {
        match Self::of(job)? {
            Self::Llama(config) => Ok(config),
            _ => Err(Failure::unsupported("unsupported-model", "Only a language model decodes.")),
        }
    }
}

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

impl ActionExpert {
    /// Width of all heads' queries, and of the output projection's input.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all heads' keys, and of their values.
    pub fn key_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Query heads that share a key-value head.
    pub fn groups(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// Whether layer `index` attends to the context, and not to the actions themselves.
    pub fn attends_to_context(&self, index: usize) -> bool {
        index % self.cross_attention_every == self.cross_attention_every - 1
    }
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

impl Llama {
    /// Width of all heads' queries, and of the output projection's input.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all heads' keys, and of their values.
    pub fn key_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Query heads that share a key-value head.
    pub fn groups(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }
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

impl UNet {
    /// Channels of each resolution, the highest first.
    pub fn channels(&self) -> Vec<usize> {
        self.channel_multipliers.iter().map(|times| times * self.base_channels).collect()
    }
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

impl ResNet {
    /// Channels inside the blocks of a stage, counted from 0.
    pub fn inner_width(&self, stage: usize) -> usize {
        self.width << stage
    }

    /// Channels that the blocks of a stage give on.
    pub fn outer_width(&self, stage: usize) -> usize {
        self.inner_width(stage) * self.expansion
    }
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

impl Whisper {
    /// Width of one of `heads` attention heads.
    pub fn head_dim(&self, heads: usize) -> usize {
        self.d_model / heads
    }
}
