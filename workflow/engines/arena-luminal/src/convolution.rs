//! Convolutions and max-pooling, as matrix products and maxima over what each tap of the kernel sees.

use arena::Result;
use luminal::prelude::Axes5;
use luminal::prelude::symbolic::Expression;

use crate::images::{Images, Rank5};
use crate::layers::product;
use crate::program::{Builder, Matrix, Rank3, Size, Vector, reshape, size};

/// The shape of a convolution: its output channels, the side of its kernel, which is odd, and its stride.
#[derive(Clone, Copy)]
pub struct Shape {
    pub out: usize,
    pub kernel: usize,
    pub stride: usize,
}

impl Shape {
    pub fn new(out: usize, kernel: usize, stride: usize) -> Self {
        Self { out, kernel, stride }
    }
}

impl Images {
    /// A convolution without bias that keeps the size, divided by `stride`: the sum over the kernel's taps
    /// (see [`crate::weights::Weights::split_taps`]) of the product with the pixels under that tap.
    pub fn convolve(self, cx: &mut Builder, name: &str, shape: Shape) -> Result<Self> {
        let Shape { out, kernel, stride } = shape;
        let windows = Windows::new(self, kernel, stride, kernel / 2);
        let mut sum: Option<Matrix> = None;
        for tap in 0..kernel * kernel {
            let weight: Matrix = cx.weight(&format!("{name}.{tap}"), &[out, self.channels()])?;
            let product = product(weight, windows.under(tap / kernel, tap % kernel));
            sum = Some(sum.map_or(product, |sum| sum + product));
        }
        Ok(windows.images(sum.expect("at least one tap")))
    }

    /// Max-pooling of non-negative pixels, kernel 3, stride 2, padding 1, which never wins.
    pub fn max_pool(self) -> Self {
        let windows = Windows::new(self, 3, 2, 1);
        let largest = (1..9).fold(windows.under(0, 0), |most, tap| most.max(windows.under(tap / 3, tap % 3)));
        windows.images(largest)
    }
}

/// The pixels that a kernel sees as it moves over padded images.
///
/// What a tap sees is one stretch of memory, in which the padded images stay as they are: Luminal computes
/// each index anew, and that of a stretch is the cheapest. The results at the padding are cut away at last.
struct Windows {
    /// The padded images, and some zeros behind them. With a stride s they are s² sets of images, each of
    /// every s-th pixel: so are all pixels that a tap sees in one set.
    memory: Vector,
    stride: usize,
    channels: usize,
    batch: usize,
    /// Rows and columns of a padded image in a set.
    padded: [usize; 2],
    /// Rows and columns of the result.
    leaving: [usize; 2],
}

impl Windows {
    fn new(images: Images, kernel: usize, stride: usize, padding: usize) -> Self {
        let Images { pixels, batch, height, width } = images;
        let (channels, sides) = (images.channels(), [height, width]);
        let leaving = sides.map(|side| (side + 2 * padding - kernel) / stride + 1);
        let reach = (kernel - 1) / stride;
        let padded = leaving.map(|side| side + reach);
        let behind = |axis: usize| (padded[axis] * stride).saturating_sub(sides[axis] + padding);
        let mut x = reshape::<_, Rank3>(pixels, &[channels * batch, height, width]);
        let margins = [(0, 0), (padding, behind(0)), (padding, behind(1))];
        if margins != [(0, 0); 3] {
            x = x.pad::<Rank3, _, _>(&margins).contiguous();
        }
        if stride > 1 {
            let sizes = [channels * batch, padded[0], stride, padded[1], stride];
            let sets = reshape::<_, Rank5>(x, &sizes).permute::<Rank5, Axes5<2, 4, 0, 1, 3>>();
            x = reshape(sets, &[stride * stride * channels * batch, padded[0], padded[1]]);
        }
        let count = stride * stride * channels * batch * padded[0] * padded[1];
        let mut memory: Vector = reshape(x, &[count]);
        if reach > 0 {
            memory = memory.pad::<(Size,), _, _>(&[(0, reach * (padded[1] + 1))]).contiguous();
        }
        Self { memory, stride, channels, batch, padded, leaving }
    }

    /// The pixels under the kernel's tap (row, column): (channels, batch · padded rows · columns).
    fn under(&self, row: usize, column: usize) -> Matrix {
        let columns = self.batch * self.padded[0] * self.padded[1];
        let set = row % self.stride * self.stride + column % self.stride;
        let first = row / self.stride * self.padded[1] + column / self.stride;
        let start = set * self.channels * columns + first;
        let end = start + self.channels * columns;
        let mut seen = self.memory;
        if end - start < size(seen, 0) {
            seen = seen.slice((Expression::from(start)..Expression::from(end),));
        }
        reshape(seen, &[self.channels, columns])
    }

    /// The images of which `pixels` (channels, batch · padded rows · columns) are a part.
    fn images(&self, pixels: Matrix) -> Images {
        let (channels, [height, width]) = (size(pixels, 0), self.leaving);
        let images = Images { pixels, batch: self.batch, height, width };
        if self.padded == self.leaving {
            return images;
        }
        let whole = reshape::<_, Rank3>(pixels, &[channels * self.batch, self.padded[0], self.padded[1]]);
        let part = whole.slice((.., ..Expression::from(height), ..Expression::from(width)));
        images.with(reshape(part, &[channels, self.batch * height * width]))
    }
}

#[cfg(test)]
mod tests {
    use arena::tensors::Array;

    use super::*;
    use crate::images::tests::{array, numbers};
    use crate::program::tests::{computed, computed_on};
    use crate::weights::Weights;

    /// The definition of a convolution of (batch, entering, side, side) that is padded by half its kernel.
    fn convolution(images: &Array, kernels: &[f32], Shape { out, kernel, stride }: Shape) -> Vec<f32> {
        let [batch, entering, side, _] = images.shape[..] else { panic!("four dimensions") };
        let pixel = |image: usize, channel: usize, y: usize, x: usize| {
            let (y, x) = (y.wrapping_sub(kernel / 2), x.wrapping_sub(kernel / 2));
            if y < side && x < side {
                images.data[((image * entering + channel) * side + y) * side + x]
            } else {
                0.0
            }
        };
        let mut found = Vec::new();
        for (image, row) in (0..batch).flat_map(|image| (0..out).map(move |row| (image, row))) {
            for (y, x) in
                (0..side).step_by(stride).flat_map(|y| (0..side).step_by(stride).map(move |x| (y, x)))
            {
                let taps = (0..entering * kernel * kernel).map(|tap| {
                    let (channel, i, j) = (tap / kernel / kernel, tap / kernel % kernel, tap % kernel);
                    kernels[row * entering * kernel * kernel + tap] * pixel(image, channel, y + i, x + j)
                });
                found.push(taps.sum());
            }
        }
        found
    }

    #[test]
    fn convolutions_of_every_kind_agree_with_their_definition() {
        for (side, kernel, stride) in [(5, 3, 1), (6, 3, 2), (5, 3, 2), (4, 1, 1), (5, 1, 2), (8, 7, 2)] {
            let (images, shape) = (array([2, 3, side, side]), Shape { out: 4, kernel, stride });
            let kernels = numbers(4 * 3 * kernel * kernel);
            let mut weights = Weights::from([("w", vec![4, 3, kernel, kernel], kernels.clone())]);
            weights.split_taps("w").unwrap();
            let found = computed_on(&mut weights, |cx| {
                Ok(Images::input(cx, &images)?.convolve(cx, "w", shape)?.output())
            });
            let expected = convolution(&images, &kernels, shape);
            assert_eq!(found.len(), expected.len());
            let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close, "side {side}, kernel {kernel}, stride {stride}");
        }
    }

    #[test]
    fn pooling_takes_the_largest() {
        let pixels: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let images = Array::new(vec![1, 1, 4, 4], pixels).unwrap();
        let pooled = computed(|cx| Ok(Images::input(cx, &images)?.max_pool().output()));
        assert_eq!(pooled, [5.0, 7.0, 13.0, 15.0]);
    }
}
