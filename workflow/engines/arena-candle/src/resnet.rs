//! ResNet v1.5 as in torchvision: a bottleneck strides in its 3×3 convolution.

use arena::architecture::ResNet as Config;
use candle_core::{Module, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Linear, VarBuilder};

use crate::layers::{Form, linear, max_pool};

/// A convolution and batch normalisation with its running statistics.
///
/// For inference the normalisation is folded into the convolution, as one would deploy it; in training
/// its weight and bias have gradients, so it stays apart.
struct ConvNorm {
    conv: Conv2d,
    scale_shift: Option<[Tensor; 4]>,
    eps: f64,
}

impl ConvNorm {
    fn new(
        conv: &VarBuilder,
        norm: &VarBuilder,
        shape: (usize, usize, usize),
        stride: usize,
        eps: f64,
        form: Form,
    ) -> Result<Self> {
        let (entering, leaving, kernel) = shape;
        let config = Conv2dConfig { padding: kernel / 2, stride, ..Default::default() };
        let kernels = conv.get((leaving, entering, kernel, kernel), "weight")?;
        let [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| norm.get(leaving, name))
            .into_iter()
            .collect::<Result<Vec<_>>>()?
            .try_into()
            .expect("four tensors");
        if form == Form::Training {
            let conv = Conv2d::new(kernels, None, config);
            return Ok(Self { conv, scale_shift: Some([weight, bias, mean, variance]), eps });
        }
        let scale = (&weight / (variance + eps)?.sqrt()?)?;
        let shift = (bias - mean * &scale)?;
        let kernels = kernels.broadcast_mul(&scale.reshape((leaving, 1, 1, 1))?)?;
        Ok(Self { conv: Conv2d::new(kernels, Some(shift), config), scale_shift: None, eps })
    }
}

impl Module for ConvNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv.forward(x)?;
        let Some(tensors) = &self.scale_shift else { return Ok(x) };
        let [weight, bias, mean, variance] = tensors;
        let scale = (weight / (variance + self.eps)?.sqrt()?)?;
        let shift = (bias - mean * &scale)?;
        let channels = (1, x.dim(1)?, 1, 1);
        x.broadcast_mul(&scale.reshape(channels)?)?.broadcast_add(&shift.reshape(channels)?)
    }
}

struct Bottleneck {
    narrow: ConvNorm,
    spatial: ConvNorm,
    widen: ConvNorm,
    project: Option<ConvNorm>,
}

impl Module for Bottleneck {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.narrow.forward(x)?.relu()?;
        let h = self.spatial.forward(&h)?.relu()?;
        let h = self.widen.forward(&h)?;
        match &self.project {
            Some(project) => (h + project.forward(x)?)?.relu(),
            None => (h + x)?.relu(),
        }
    }
}

pub struct ResNet {
    stem: ConvNorm,
    blocks: Vec<Bottleneck>,
    head: Linear,
    form: Form,
}

impl ResNet {
    pub fn new(config: &Config, vb: &VarBuilder, form: Form) -> Result<Self> {
        let (width, eps) = (config.width, config.batch_norm_eps);
        let stem_shape = (config.in_channels, width, 7);
        let stem = ConvNorm::new(&vb.pp("conv1"), &vb.pp("bn1"), stem_shape, 2, eps, form)?;
        let (mut blocks, mut entering) = (Vec::new(), width);
        for (stage, &count) in config.layers.iter().enumerate() {
            let (inner, leaving) = (config.inner_width(stage), config.outer_width(stage));
            for index in 0..count {
                let vb = vb.pp(format!("layer{}", stage + 1)).pp(index);
                let stride = if index == 0 && stage > 0 { 2 } else { 1 };
                let part = |number: usize, shape, stride| {
                    let (conv, norm) = (vb.pp(format!("conv{number}")), vb.pp(format!("bn{number}")));
                    ConvNorm::new(&conv, &norm, shape, stride, eps, form)
                };
                let project = if index == 0 {
                    let (conv, norm) = (vb.pp("downsample").pp(0), vb.pp("downsample").pp(1));
                    Some(ConvNorm::new(&conv, &norm, (entering, leaving, 1), stride, eps, form)?)
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
        Ok(Self { stem, blocks, head: linear(&vb.pp("fc"), entering, config.num_classes, true)?, form })
    }

    /// Images (batch, channels, height, width) to class logits (batch, classes).
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let mut x = max_pool(&self.stem.forward(images)?.relu()?, self.form)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.head.forward(&x.mean((2, 3))?)
    }
}
