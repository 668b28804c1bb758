//! A small U-Net of residual blocks: convolutions without biases, group normalisation.

use arena::Result;
use arena::architecture::UNet as Config;

use crate::images::Image;
use crate::network::Network;

/// The input `latent` (batch, channels, height, width) to the predicted noise of the same shape.
pub fn forward(network: &mut Network, config: &Config, shape: [usize; 4]) -> Result<Image> {
    let latent = Image::input(network, "latent", shape);
    let channels = config.channels();
    let mut x = network.convolution(latent, "conv_in", channels[0], 3, 1)?;
    let mut skips = Vec::new();
    for (level, &leaving) in channels.iter().enumerate() {
        if level > 0 {
            x = network.convolution(x, &format!("down.{}", level - 1), x.channels, 3, 2)?;
        }
        x = block(network, config, x, &format!("encoder.{level}"), leaving)?;
        skips.push(x);
    }
    x = block(network, config, x, "middle", x.channels)?;
    for (step, (&leaving, &skip)) in channels.iter().zip(&skips).rev().enumerate() {
        if step > 0 {
            x = network.upsample(x);
        }
        let joined = network.join(x, skip);
        x = block(network, config, joined, &format!("decoder.{step}"), leaving)?;
    }
    let x = network.group_norm_silu(x, "norm_out", config.norm_groups, config.norm_eps as f32)?;
    network.convolution(x, "conv_out", config.in_channels, 3, 1)
}

fn block(network: &mut Network, config: &Config, x: Image, name: &str, leaving: usize) -> Result<Image> {
    let (groups, eps) = (config.norm_groups, config.norm_eps as f32);
    let h = network.group_norm_silu(x, &format!("{name}.norm1"), groups, eps)?;
    let h = network.convolution(h, &format!("{name}.conv1"), leaving, 3, 1)?;
    let h = network.group_norm_silu(h, &format!("{name}.norm2"), groups, eps)?;
    let h = network.convolution(h, &format!("{name}.conv2"), leaving, 3, 1)?;
    let skip = if x.channels == leaving {
        x
    } else {
        network.convolution(x, &format!("{name}.skip"), leaving, 1, 1)?
    };
    Ok(network.sum(h, skip))
}
