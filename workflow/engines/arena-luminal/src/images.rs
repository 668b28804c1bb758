//! Layers of the convolutional models. Images are matrices too: a row for each channel, in it the pixels of
//! all images of the batch, one image after another.

use arena::Result;
use arena::tensors::Array;
use luminal::prelude::{Axes3, Axis, GraphTensor};

use crate::program::{Builder, Matrix, Rank3, Size, Vector, broadcast, reshape, size, sized};

type Rank4 = (Size, Size, Size, Size);
pub type Rank5 = (Size, Size, Size, Size, Size);

/// A batch of images.
#[derive(Clone, Copy)]
pub struct Images {
    /// (channels, batch · height · width)
    pub pixels: Matrix,
    pub batch: usize,
    pub height: usize,
    pub width: usize,
}

impl Images {
    /// The input (batch, channels, height, width).
    pub fn input(cx: &mut Builder, array: &Array) -> Result<Self> {
        let [batch, channels, height, width] = array.shape[..] else {
            return Err(arena::Failure::Error(format!("images of shape {:?}", array.shape)));
        };
        let sizes = [batch, channels, height * width];
        let images: GraphTensor<Rank3> = cx.input("images", &sizes, array.data.clone())?;
        let pixels = swap_outer(images, [channels, batch * height * width]);
        Ok(Self { pixels, batch, height, width })
    }

    /// The same images as (batch, channels · height · width).
    pub fn output(self) -> Matrix {
        let (channels, area) = (self.channels(), self.height * self.width);
        let images = reshape::<_, Rank3>(self.pixels, &[channels, self.batch, area]);
        swap_outer(images, [self.batch, channels * area])
    }

    pub fn channels(&self) -> usize {
        size(self.pixels, 0)
    }

    /// The same size with other pixels.
    pub fn with(self, pixels: Matrix) -> Self {
        Self { pixels, ..self }
    }

    /// Twice the height and width, each pixel four times.
    pub fn upsample(self) -> Self {
        let rows = self.channels() * self.batch;
        let pixels = reshape::<_, Rank3>(self.pixels, &[rows, self.height, self.width]);
        let tall: GraphTensor<Rank4> = broadcast(pixels, 2, 2);
        let large: GraphTensor<Rank5> = broadcast(tall, 4, 2);
        let pixels = reshape(large, &[self.channels(), 4 * size(self.pixels, 1)]);
        Self { pixels, height: 2 * self.height, width: 2 * self.width, ..self }
    }

    /// The channels of these images, then those of the others.
    pub fn stack(self, other: Self) -> Self {
        let (channels, columns) = (self.channels() + other.channels(), size(self.pixels, 1));
        let joined = self.pixels.concat_along::<(Size, Size), Axis<0>, _>(other.pixels);
        self.with(sized(joined, &[channels, columns]))
    }

    /// Group normalisation, with a weight and a bias for each channel.
    pub fn group_norm(self, cx: &mut Builder, prefix: &str, groups: usize, eps: f32) -> Result<Self> {
        let (channels, area) = (self.channels(), self.height * self.width);
        let (members, rows) = (channels / groups, channels * self.batch);
        let weight: Vector = cx.weight(&format!("{prefix}.weight"), &[channels])?;
        let bias: Vector = cx.weight(&format!("{prefix}.bias"), &[channels])?;
        // The mean over a group of each image, (channels · batch), from rows of (channels · batch, area).
        let mean = |x: Matrix| -> Vector {
            let means =
                reshape::<_, Rank3>(x.mean_reduce::<(Size,), Axis<1>>(), &[groups, members, self.batch]);
            let means = means.mean_reduce::<(Size, Size), Axis<1>>();
            reshape::<Rank3, _>(broadcast(means, 1, members), &[rows])
        };
        let per_image =
            |x: Vector| -> Vector { reshape::<(Size, Size), _>(broadcast(x, 1, self.batch), &[rows]) };
        let x = reshape::<_, (Size, Size)>(self.pixels, &[rows, area]);
        let centred = x + broadcast::<_, (Size, Size)>(-mean(x), 1, area);
        let scale = (mean(centred * centred) + eps).sqrt().recip() * per_image(weight);
        let normed = centred * broadcast::<_, (Size, Size)>(scale, 1, area);
        let normed = normed + broadcast::<_, (Size, Size)>(per_image(bias), 1, area);
        Ok(self.with(reshape(normed, &[channels, self.batch * area])))
    }
}

/// (a, b, c) to (b, a · c) or (b · a, c), as `sizes` says.
fn swap_outer(x: GraphTensor<Rank3>, sizes: [usize; 2]) -> Matrix {
    reshape(x.permute::<Rank3, Axes3<1, 0, 2>>(), &sizes)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::program::tests::{computed, computed_on};
    use crate::weights::Weights;

    /// Numbers without a pattern, in -1…1.
    pub fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| (1.7 * (i * i) as f32).sin()).collect()
    }

    pub fn array(shape: [usize; 4]) -> Array {
        Array::new(shape.to_vec(), numbers(shape.iter().product())).unwrap()
    }

    #[test]
    fn upsampling_repeats_pixels() {
        let images = Array::new(vec![1, 2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let large = computed(|cx| Ok(Images::input(cx, &images)?.upsample().output()));
        assert_eq!(large, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0]);
    }

    #[test]
    fn each_group_of_each_image_is_normalised_alone() {
        let images = array([2, 4, 3, 3]);
        let scales = vec![1.0, 2.0, 3.0, 4.0];
        let mut weights =
            Weights::from([("n.weight", vec![4], scales.clone()), ("n.bias", vec![4], vec![0.5; 4])]);
        let found = computed_on(&mut weights, |cx| {
            Ok(Images::input(cx, &images)?.group_norm(cx, "n", 2, 1e-5)?.output())
        });
        for (group, (before, after)) in images.data.chunks(18).zip(found.chunks(18)).enumerate() {
            let mean = before.iter().sum::<f32>() / 18.0;
            let variance = before.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 18.0;
            for (index, (x, y)) in before.iter().zip(after).enumerate() {
                let scale = scales[group % 2 * 2 + index / 9];
                assert!((scale * (x - mean) / (variance + 1e-5).sqrt() + 0.5 - y).abs() < 1e-5);
            }
        }
    }
}
