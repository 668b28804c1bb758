//! ResNet with bottleneck blocks; batch normalisation uses its running statistics.

use std::ops::Deref;

use arena::Result;
use arena::architecture::ResNet as Architecture;
use luminal::prelude::{Axes2, Axis};

use crate::convolution::Shape;
use crate::images::Images;
use crate::layers::biased;
use crate::program::{Builder, Matrix, Size, Vector, broadcast, reshape, size};
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

/// The batch normalisation behind a convolution: `conv` becomes `bn`, `downsample.0` becomes `downsample.1`.
fn norm_of(conv: &str) -> String {
    conv.strip_suffix("downsample.0")
        .map_or_else(|| conv.replace("conv", "bn"), |start| format!("{start}downsample.1"))
}

impl Config {
    /// Fold the batch normalisations into the kernels and a bias, and cut the kernels into their taps.
    pub fn split(&self, weights: &mut Weights) -> Result<()> {
        for name in weights.ending(".weight") {
            let conv = name.strip_suffix(".weight").unwrap_or(&name);
            if !(conv.contains("conv") || conv.ends_with("downsample.0")) {
                continue;
            }
            let (norm, out) = (norm_of(conv), weights.shape(&name)?[0]);
            for part in ["weight", "bias", "running_mean", "running_var"] {
                weights.check(&format!("{norm}.{part}"), &[out])?;
            }
            let variances = weights.read(&format!("{norm}.running_var"))?.iter();
            let scales = weights.read(&format!("{norm}.weight"))?.iter().zip(variances);
            let scales: Vec<f32> = scales
                .map(|(weight, variance)| weight / (variance + self.batch_norm_eps as f32).sqrt())
                .collect();
            let means = weights.read(&format!("{norm}.running_mean"))?.clone();
            weights.edit(&format!("{norm}.bias"), |bias| {
                for ((bias, mean), scale) in bias.iter_mut().zip(means).zip(&scales) {
                    *bias -= mean * scale;
                }
            })?;
            weights.edit(&name, |kernels| {
                let size = kernels.len() / out;
                for (kernel, scale) in kernels.chunks_exact_mut(size).zip(&scales) {
                    kernel.iter_mut().for_each(|value| *value *= scale);
                }
            })?;
            weights.split_taps(&name)?;
        }
        Ok(())
    }

    /// A convolution and its batch normalisation.
    fn normed(cx: &mut Builder, conv: &str, x: Images, shape: Shape) -> Result<Images> {
        let x = x.convolve(cx, &format!("{conv}.weight"), shape)?;
        let bias: Vector = cx.weight(&format!("{}.bias", norm_of(conv)), &[shape.out])?;
        let bias: Matrix = broadcast(bias, 1, size(x.pixels, 1));
        Ok(x.with(x.pixels + bias))
    }

    /// Images to class logits (batch, classes).
    pub fn forward(&self, cx: &mut Builder, images: Images) -> Result<Matrix> {
        let mut x = relu(Self::normed(cx, "conv1", images, Shape::new(self.width, 7, 2))?).max_pool();
        for (stage, &count) in self.layers.iter().enumerate() {
            let (inner, leaving) = (self.inner_width(stage), self.outer_width(stage));
            for index in 0..count {
                let block = format!("layer{}.{index}", stage + 1);
                let stride = if index == 0 && stage > 0 { 2 } else { 1 };
                let h = relu(Self::normed(cx, &format!("{block}.conv1"), x, Shape::new(inner, 1, 1))?);
                let h = relu(Self::normed(cx, &format!("{block}.conv2"), h, Shape::new(inner, 3, stride))?);
                let h = Self::normed(cx, &format!("{block}.conv3"), h, Shape::new(leaving, 1, 1))?;
                if index == 0 {
                    x = Self::normed(
                        cx,
                        &format!("{block}.downsample.0"),
                        x,
                        Shape::new(leaving, 1, stride),
                    )?;
                }
                x = relu(h.with(h.pixels + x.pixels));
            }
        }
        let (channels, area) = (x.channels(), x.height * x.width);
        let rows: Matrix = reshape(x.pixels, &[channels * x.batch, area]);
        let means: Matrix = reshape(rows.mean_reduce::<(Size,), Axis<1>>(), &[channels, x.batch]);
        biased(cx, "fc", means.permute::<_, Axes2<1, 0>>(), self.num_classes)
    }
}

/// x where it is positive, else 0: two operators, where Luminal's own `relu` takes six.
fn relu(x: Images) -> Images {
    let zero: Matrix = x.pixels.graph().constant(0.0).expand();
    x.with(x.pixels * zero.less_than(x.pixels))
}
