//! A small U-Net of residual blocks: convolutions without biases, group normalisation.

use arena::Result;
use arena::architecture::UNet as Config;
use burn::module::Param;
use burn::nn::GroupNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

use crate::conv::Conv2d;
use crate::weights::Weights;

struct Block {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    skip: Option<Conv2d>,
}

impl Block {
    fn new(config: &Config, weights: &Weights, entering: usize, leaving: usize) -> Result<Self> {
        let skip = if entering == leaving {
            None
        } else {
            Some(Conv2d::new(&weights.at("skip"), entering, leaving, 1, 1)?)
        };
        Ok(Self {
            norm1: normalisation(config, &weights.at("norm1"), entering)?,
            conv1: Conv2d::new(&weights.at("conv1"), entering, leaving, 3, 1)?,
            norm2: normalisation(config, &weights.at("norm2"), leaving)?,
            conv2: Conv2d::new(&weights.at("conv2"), leaving, leaving, 3, 1)?,
            skip,
        })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.conv1.forward(silu(self.norm1.forward(x.clone())));
        let h = self.conv2.forward(silu(self.norm2.forward(h)));
        match &self.skip {
            Some(skip) => h + skip.forward(x),
            None => h + x,
        }
    }
}

fn normalisation(config: &Config, weights: &Weights, channels: usize) -> Result<GroupNorm> {
    Ok(GroupNorm {
        gamma: Some(Param::from_tensor(weights.get("weight", [channels])?)),
        beta: Some(Param::from_tensor(weights.get("bias", [channels])?)),
        num_groups: config.norm_groups,
        num_channels: channels,
        epsilon: config.norm_eps,
        affine: true,
    })
}

pub struct UNet {
    conv_in: Conv2d,
    encoder: Vec<Block>,
    down: Vec<Conv2d>,
    middle: Block,
    decoder: Vec<Block>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl UNet {
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let channels = config.channels();
        let conv_in = Conv2d::new(&weights.at("conv_in"), config.in_channels, channels[0], 3, 1)?;
        let (mut encoder, mut down, mut decoder) = (Vec::new(), Vec::new(), Vec::new());
        let mut entering = channels[0];
        for (level, &leaving) in channels.iter().enumerate() {
            encoder.push(Block::new(config, &weights.at("encoder").at(level), entering, leaving)?);
            if level + 1 < channels.len() {
                down.push(Conv2d::new(&weights.at("down").at(level), leaving, leaving, 3, 2)?);
            }
            entering = leaving;
        }
        let middle = Block::new(config, &weights.at("middle"), entering, entering)?;
        for (step, &leaving) in channels.iter().rev().enumerate() {
            decoder.push(Block::new(config, &weights.at("decoder").at(step), entering + leaving, leaving)?);
            entering = leaving;
        }
        let norm_out = normalisation(config, &weights.at("norm_out"), entering)?;
        let conv_out = Conv2d::new(&weights.at("conv_out"), entering, config.in_channels, 3, 1)?;
        Ok(Self { conv_in, encoder, down, middle, decoder, norm_out, conv_out })
    }

    /// Latents (batch, channels, height, width) to the predicted noise of the same shape.
    pub fn forward(&self, latent: Tensor<4>) -> Tensor<4> {
        let mut x = self.conv_in.forward(latent);
        let mut skips = Vec::new();
        for (level, block) in self.encoder.iter().enumerate() {
            if level > 0 {
                x = self.down[level - 1].forward(x);
            }
            x = block.forward(x);
            skips.push(x.clone());
        }
        x = self.middle.forward(x);
        for (step, block) in self.decoder.iter().enumerate() {
            if step > 0 {
                x = upsample(x);
            }
            let skip = skips.pop().expect("one for each level");
            x = block.forward(Tensor::cat(vec![x, skip], 1));
        }
        self.conv_out.forward(silu(self.norm_out.forward(x)))
    }
}

/// Twice the height and width of (batch, channels, height, width), each pixel four times.
fn upsample(x: Tensor<4>) -> Tensor<4> {
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_scale_factor([2.0, 2.0]))
}
