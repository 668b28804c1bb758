//! ResNet v1.5 as in torchvision: a bottleneck strides in its 3×3 convolution.

use arena::Result;
use arena::architecture::ResNet as Config;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;

use crate::conv::Conv2d;
use crate::layers::Linear;
use crate::weights::Weights;

/// Batch normalisation with its running statistics, as x · scale + shift.
///
/// Burn's own `BatchNorm` takes the statistics of the batch as soon as there are gradients.
struct BatchNorm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    mean: Tensor<1>,
    /// √(running_var + eps)
    deviation: Tensor<1>,
}

impl BatchNorm {
    fn new(weights: &Weights, channels: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: weights.get("weight", [channels])?,
            bias: weights.get("bias", [channels])?,
            mean: weights.constant("running_mean", [channels])?,
            deviation: (weights.constant("running_var", [channels])? + eps).sqrt(),
        })
    }

    /// Both (channels,).
    fn scale_and_shift(&self) -> (Tensor<1>, Tensor<1>) {
        let scale = self.weight.clone() / self.deviation.clone();
        let shift = self.bias.clone() - self.mean.clone() * scale.clone();
        (scale, shift)
    }
}

/// A convolution and batch normalisation.
///
/// For inference the normalisation is folded into the convolution, as one would deploy it; in training
/// its weight and bias have gradients, so it stays apart.
struct ConvNorm {
    conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl ConvNorm {
    fn new(
        conv: &Weights,
        norm: &Weights,
        (entering, leaving, kernel): (usize, usize, usize),
        stride: usize,
        eps: f64,
    ) -> Result<Self> {
        let norm = BatchNorm::new(norm, leaving, eps)?;
        let training = conv.training();
        let conv = Conv2d::new(conv, entering, leaving, kernel, stride)?;
        if training {
            return Ok(Self { conv, norm: Some(norm) });
        }
        let (scale, shift) = norm.scale_and_shift();
        Ok(Self { conv: conv.scaled(scale, shift), norm: None })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward(x);
        let Some(norm) = &self.norm else { return x };
        let (scale, shift) = norm.scale_and_shift();
        let channels = [1, x.dims()[1], 1, 1];
        x * scale.reshape(channels) + shift.reshape(channels)
    }
}

struct Bottleneck {
    narrow: ConvNorm,
    spatial: ConvNorm,
    widen: ConvNorm,
    project: Option<ConvNorm>,
}

impl Bottleneck {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = relu(self.narrow.forward(x.clone()));
        let h = relu(self.spatial.forward(h));
        let h = self.widen.forward(h);
        match &self.project {
            Some(project) => relu(h + project.forward(x)),
            None => relu(h + x),
        }
    }
}

pub struct ResNet {
    stem: ConvNorm,
    blocks: Vec<Bottleneck>,
    head: Linear,
}

impl ResNet {
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let (width, eps) = (config.width, config.batch_norm_eps);
        let stem_shape = (config.in_channels, width, 7);
        let stem = ConvNorm::new(&weights.at("conv1"), &weights.at("bn1"), stem_shape, 2, eps)?;
        let (mut blocks, mut entering) = (Vec::new(), width);
        for (stage, &count) in config.layers.iter().enumerate() {
            let (inner, leaving) = (config.inner_width(stage), config.outer_width(stage));
            for index in 0..count {
                let weights = weights.at(format!("layer{}", stage + 1)).at(index);
                let stride = if index == 0 && stage > 0 { 2 } else { 1 };
                let part = |number: usize, shape, stride| {
                    let (conv, norm) =
                        (weights.at(format!("conv{number}")), weights.at(format!("bn{number}")));
                    ConvNorm::new(&conv, &norm, shape, stride, eps)
                };
                let project = if index == 0 {
                    let (conv, norm) = (weights.at("downsample").at(0), weights.at("downsample").at(1));
                    Some(ConvNorm::new(&conv, &norm, (entering, leaving, 1), stride, eps)?)
                } else {
                    None
                };
                blocks.push(Bottleneck {
                    narrow: part(1, (entering, inner, 1), 1)?,
                    spatial: part(2, (inner, inner, 3), stride)?,
                    widen: part(3, (inner, leaving, 1), 1)?,
                    project,
                });
                entering = leaving;
            }
        }
        Ok(Self { stem, blocks, head: Linear::new(&weights.at("fc"), entering, config.num_classes, true)? })
    }

    /// Images (batch, channels, height, width) to class logits (batch, classes).
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let pooling = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
        let mut x = max_pool2d(relu(self.stem.forward(images)), pooling);
        for block in &self.blocks {
            x = block.forward(x);
        }
        let pixels: Tensor<3> = x.flatten(2, 3);
        self.head.forward(pixels.mean_dim(2).squeeze_dim(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::tests::{assert_close, waves};
    use crate::weights::{Leaves, get};

    #[test]
    fn normalisation_folds_into_the_convolution() -> Result<()> {
        let mut tensors = waves(&[
            ("conv.weight", &[4, 3, 3, 3]),
            ("bn.weight", &[4]),
            ("bn.bias", &[4]),
            ("bn.running_mean", &[4]),
            ("bn.running_var", &[4]),
            ("images", &[2, 3, 6, 5]),
        ]);
        let (_, variance) = tensors.get_mut("bn.running_var").expect("given above");
        *variance = variance.clone().abs() + 0.1;
        let images: Tensor<4> = get(&tensors, "images")?;
        let leaves = Leaves::default();
        let layer =
            |weights: Weights| ConvNorm::new(&weights.at("conv"), &weights.at("bn"), (3, 4, 3), 2, 1e-5);
        let (folded, apart) =
            (layer(Weights::new(&tensors, None))?, layer(Weights::new(&tensors, Some(&leaves)))?);
        let output = apart.forward(images.clone());
        assert_close(folded.forward(images), output.clone(), 1e-5);
        let gradients = leaves.gradients(&output.sum().backward())?;
        let names: Vec<&str> = gradients.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["bn.bias", "bn.weight", "conv.weight"]);
        assert_eq!(gradients[0].1.data, [18.0; 4]); // one for each of 2 · 3 · 3 pixels
        Ok(())
    }
}
