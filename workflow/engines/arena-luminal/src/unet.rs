//! A small U-Net of residual blocks: convolutions without biases, group normalisation.

use std::ops::Deref;

use arena::Result;
use arena::architecture::UNet as Architecture;

use crate::convolution::Shape;
use crate::images::Images;
use crate::program::Builder;
use crate::weights::Weights;

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
    /// Cut the kernels into their taps.
    pub fn split(weights: &mut Weights) -> Result<()> {
        let is_kernel = |name: &String| !name.contains("norm");
        weights
            .ending(".weight")
            .iter()
            .filter(|name| is_kernel(name))
            .try_for_each(|name| weights.split_taps(name))
    }

    fn activated(&self, cx: &mut Builder, prefix: &str, x: Images) -> Result<Images> {
        let normed = x.group_norm(cx, prefix, self.norm_groups, self.norm_eps as f32)?;
        Ok(normed.with(normed.pixels.swish()))
    }

    fn block(&self, cx: &mut Builder, prefix: &str, x: Images, leaving: usize) -> Result<Images> {
        let h = self.activated(cx, &format!("{prefix}.norm1"), x)?;
        let h = h.convolve(cx, &format!("{prefix}.conv1.weight"), Shape::new(leaving, 3, 1))?;
        let h = self.activated(cx, &format!("{prefix}.norm2"), h)?;
        let h = h.convolve(cx, &format!("{prefix}.conv2.weight"), Shape::new(leaving, 3, 1))?;
        let skip = if x.channels() == leaving {
            x
        } else {
            x.convolve(cx, &format!("{prefix}.skip.weight"), Shape::new(leaving, 1, 1))?
        };
        Ok(h.with(h.pixels + skip.pixels))
    }

    /// Latents to the predicted noise of the same shape.
    pub fn forward(&self, cx: &mut Builder, latent: Images) -> Result<Images> {
        let channels = self.channels();
        let mut x = latent.convolve(cx, "conv_in.weight", Shape::new(channels[0], 3, 1))?;
        let mut skips = Vec::new();
        for (level, &leaving) in channels.iter().enumerate() {
            if level > 0 {
                let name = format!("down.{}.weight", level - 1);
                x = x.convolve(cx, &name, Shape::new(channels[level - 1], 3, 2))?;
            }
            x = self.block(cx, &format!("encoder.{level}"), x, leaving)?;
            skips.push(x);
        }
        x = self.block(cx, "middle", x, x.channels())?;
        for (step, &leaving) in channels.iter().rev().enumerate() {
            if step > 0 {
                x = x.upsample();
            }
            let skip = skips.pop().expect("one for each level");
            x = self.block(cx, &format!("decoder.{step}"), x.stack(skip), leaving)?;
        }
        let x = self.activated(cx, "norm_out", x)?;
        x.convolve(cx, "conv_out.weight", Shape::new(self.in_channels, 3, 1))
    }
}
