//! Layers of images, which Meganeura keeps as flat tensors in the order (batch, channels, height, width).

use arena::Result;
use meganeura::graph::NodeId;

use crate::network::Network;

/// An image in the graph.
#[derive(Clone, Copy)]
pub struct Image {
    pub node: NodeId,
    pub batch: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Image {
    /// The input `name` of shape (batch, channels, height, width).
    pub fn input(network: &mut Network, name: &str, shape: [usize; 4]) -> Self {
        let [batch, channels, height, width] = shape;
        let node = network.graph.input(name, &[shape.iter().product()]);
        Self { node, batch, channels, height, width }
    }

    pub fn shape(&self) -> [usize; 4] {
        [self.batch, self.channels, self.height, self.width]
    }

    pub fn pixels(&self) -> usize {
        self.height * self.width
    }
}

impl Network<'_> {
    /// A convolution without bias by the flat kernel `weight` (out, in, kernel, kernel), which keeps the image
    /// size, divided by `stride`.
    pub fn convolve(
        &mut self,
        x: Image,
        weight: NodeId,
        channels: usize,
        kernel: usize,
        stride: usize,
    ) -> Image {
        let [batch, entering, height, width] = x.shape().map(|size| size as u32);
        let (leaving, kernel, stride) = (channels as u32, kernel as u32, stride as u32);
        let node = self.graph.conv2d(
            x.node,
            weight,
            batch,
            entering,
            height,
            width,
            leaving,
            kernel,
            kernel,
            stride,
            kernel / 2,
        );
        let size = |size: usize| (size - 1) / stride as usize + 1;
        Image { node, channels, height: size(x.height), width: size(x.width), ..x }
    }

    /// The same, by the checkpoint's kernel `name`.weight.
    pub fn convolution(
        &mut self,
        x: Image,
        name: &str,
        channels: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<Image> {
        let shape = [channels, x.channels, kernel, kernel];
        let weight = self.parameter(&format!("{name}.weight"), &shape, &[shape.iter().product()])?;
        Ok(self.convolve(x, weight, channels, kernel, stride))
    }

    /// Group normalisation, then SiLU; Meganeura fuses the two for inference.
    pub fn group_norm_silu(&mut self, x: Image, name: &str, groups: usize, eps: f32) -> Result<Image> {
        let weight = self.whole(&format!("{name}.weight"), &[x.channels])?;
        let bias = self.whole(&format!("{name}.bias"), &[x.channels])?;
        let (batch, channels, pixels) = (x.batch as u32, x.channels as u32, x.pixels() as u32);
        let normed = self.graph.group_norm(x.node, weight, bias, batch, channels, pixels, groups as u32, eps);
        Ok(Image { node: self.graph.silu(normed), ..x })
    }

    /// Twice the height and width, each pixel four times.
    pub fn upsample(&mut self, x: Image) -> Image {
        let [batch, channels, height, width] = x.shape().map(|size| size as u32);
        let node = self.graph.upsample_2x(x.node, batch, channels, height, width);
        Image { node, height: 2 * x.height, width: 2 * x.width, ..x }
    }

    /// The channels of `a`, then those of `b`.
    pub fn join(&mut self, a: Image, b: Image) -> Image {
        let (batch, pixels) = (a.batch as u32, a.pixels() as u32);
        let node = self.graph.concat(a.node, b.node, batch, a.channels as u32, b.channels as u32, pixels);
        Image { node, channels: a.channels + b.channels, ..a }
    }

    /// a + b
    pub fn sum(&mut self, a: Image, b: Image) -> Image {
        Image { node: self.graph.add(a.node, b.node), ..a }
    }
}
