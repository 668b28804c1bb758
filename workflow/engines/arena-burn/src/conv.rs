//! Convolutions that keep the size of their input, divided by the stride.

use arena::Result;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, module};

use crate::weights::Weights;

/// A convolution over images; the kernels are (out, in, kernel, kernel).
pub struct Conv2d {
    kernels: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
}

impl Conv2d {
    /// Without bias.
    pub fn new(
        weights: &Weights,
        entering: usize,
        leaving: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<Self> {
        let kernels = weights.get("weight", [leaving, entering, kernel, kernel])?;
        Ok(Self { kernels, bias: None, stride })
    }

    /// The same followed by `x · scale + shift`, both (out,).
    pub fn scaled(self, scale: Tensor<1>, shift: Tensor<1>) -> Self {
        let [leaving, ..] = self.kernels.dims();
        Self {
            kernels: self.kernels * scale.reshape([leaving, 1, 1, 1]),
            bias: Some(shift),
            stride: self.stride,
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let padding = self.kernels.dims()[2] / 2;
        let options = ConvOptions::new([self.stride; 2], [padding; 2], [1; 2], 1);
        module::conv2d(x, self.kernels.clone(), self.bias.clone(), options)
    }
}

/// A convolution over time of kernel 3, with a bias.
pub struct Conv1d {
    kernels: Tensor<3>,
    bias: Tensor<1>,
    stride: usize,
}

impl Conv1d {
    pub fn new(weights: &Weights, entering: usize, leaving: usize, stride: usize) -> Result<Self> {
        let kernels = weights.get("weight", [leaving, entering, 3])?;
        Ok(Self { kernels, bias: weights.get("bias", [leaving])?, stride })
    }

    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let options = ConvOptions::new([self.stride], [1], [1], 1);
        module::conv1d(x, self.kernels.clone(), Some(self.bias.clone()), options)
    }
}
