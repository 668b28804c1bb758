//! A small U-Net of residual blocks: convolutions without biases, group normalisation.

use arena::architecture::UNet as Config;
use candle_core::{Module, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, GroupNorm, VarBuilder};

use crate::layers::{Form, upsample};

struct Block {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    skip: Option<Conv2d>,
}

impl Block {
    fn new(config: &Config, vb: &VarBuilder, entering: usize, leaving: usize) -> Result<Self> {
        let skip = if entering == leaving {
            None
        } else {
            Some(convolution(&vb.pp("skip"), entering, leaving, 1, 1)?)
        };
        Ok(Self {
            norm1: normalisation(config, &vb.pp("norm1"), entering)?,
            conv1: convolution(&vb.pp("conv1"), entering, leaving, 3, 1)?,
            norm2: normalisation(config, &vb.pp("norm2"), leaving)?,
            conv2: convolution(&vb.pp("conv2"), leaving, leaving, 3, 1)?,
            skip,
        })
    }
}

impl Module for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.conv1.forward(&self.norm1.forward(x)?.silu()?)?;
        let h = self.conv2.forward(&self.norm2.forward(&h)?.silu()?)?;
        match &self.skip {
            Some(skip) => h + skip.forward(x)?,
            None => h + x,
        }
    }
}

/// A convolution without bias that keeps the image size, divided by `stride`.
fn convolution(
    vb: &VarBuilder,
    entering: usize,
    leaving: usize,
    kernel: usize,
    stride: usize,
) -> Result<Conv2d> {
    let config = Conv2dConfig { padding: kernel / 2, stride, ..Default::default() };
    Ok(Conv2d::new(vb.get((leaving, entering, kernel, kernel), "weight")?, None, config))
}

fn normalisation(config: &Config, vb: &VarBuilder, channels: usize) -> Result<GroupNorm> {
    let (weight, bias) = (vb.get(channels, "weight")?, vb.get(channels, "bias")?);
    GroupNorm::new(weight, bias, channels, config.norm_groups, config.norm_eps)
}

pub struct UNet {
    conv_in: Conv2d,
    encoder: Vec<Block>,
    down: Vec<Conv2d>,
    middle: Block,
    decoder: Vec<Block>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    form: Form,
}

impl UNet {
    pub fn new(config: &Config, vb: &VarBuilder, form: Form) -> Result<Self> {
        let channels = config.channels();
        let conv_in = convolution(&vb.pp("conv_in"), config.in_channels, channels[0], 3, 1)?;
        let (mut encoder, mut down, mut decoder) = (Vec::new(), Vec::new(), Vec::new());
        let mut entering = channels[0];
        for (level, &leaving) in channels.iter().enumerate() {
            encoder.push(Block::new(config, &vb.pp("encoder").pp(level), entering, leaving)?);
            if level + 1 < channels.len() {
                down.push(convolution(&vb.pp("down").pp(level), leaving, leaving, 3, 2)?);
            }
            entering = leaving;
        }
        let middle = Block::new(config, &vb.pp("middle"), entering, entering)?;
        for (step, &leaving) in channels.iter().rev().enumerate() {
            decoder.push(Block::new(config, &vb.pp("decoder").pp(step), entering + leaving, leaving)?);
            entering = leaving;
        }
        let norm_out = normalisation(config, &vb.pp("norm_out"), entering)?;
        let conv_out = convolution(&vb.pp("conv_out"), entering, config.in_channels, 3, 1)?;
        Ok(Self { conv_in, encoder, down, middle, decoder, norm_out, conv_out, form })
    }

    /// Latents (batch, channels, height, width) to the predicted noise of the same shape.
    pub fn forward(&self, latent: &Tensor) -> Result<Tensor> {
        let mut x = self.conv_in.forward(latent)?;
        let mut skips = Vec::new();
        for (level, block) in self.encoder.iter().enumerate() {
            if level > 0 {
                x = self.down[level - 1].forward(&x)?;
            }
            x = block.forward(&x)?;
            skips.push(x.clone());
        }
        x = self.middle.forward(&x)?;
        for (step, block) in self.decoder.iter().enumerate() {
            if step > 0 {
                x = upsample(&x, self.form)?;
            }
            let skip = skips.pop().expect("one for each level");
            x = block.forward(&Tensor::cat(&[x, skip], 1)?)?;
        }
        self.conv_out.forward(&self.norm_out.forward(&x)?.silu()?)
    }
}
