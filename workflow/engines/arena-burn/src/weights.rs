//! Named tensors on the device; the model's weights, taken by name, which are leaves of autodiff in training.

use std::cell::RefCell;
use std::collections::BTreeMap;

use arena::tensors::Array;
use arena::{Failure, Result};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

/// Float32 tensors of any rank by name, each kept flat beside its shape.
pub type Named = BTreeMap<String, (Vec<usize>, Tensor<1>)>;

/// Reads the gradient of one weight, none where no gradient reached it.
type Leaf = Box<dyn Fn(&Gradients) -> Option<Result<Array>>>;

/// Copy to the device.
pub fn to_device(arrays: BTreeMap<String, Array>, device: &Device) -> Named {
    let tensor = |Array { shape, data }: Array| {
        let length = data.len();
        (shape, Tensor::from_data(TensorData::new(data, [length]), device))
    };
    arrays.into_iter().map(|(name, array)| (name, tensor(array))).collect()
}

/// The tensor of that name and rank.
pub fn get<const D: usize>(tensors: &Named, name: &str) -> Result<Tensor<D>> {
    let (shape, flat) = tensors.get(name).ok_or_else(|| Failure::MissingTensor(name.into()))?;
    let shape: [usize; D] = shape
        .as_slice()
        .try_into()
        .map_err(|_| Failure::Error(format!("{name} has shape {shape:?}; expected {D} dimensions")))?;
    Ok(flat.clone().reshape(shape))
}

/// Copy to the host.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Array> {
    let shape = tensor.dims().to_vec();
    Array::new(shape, tensor.try_into_vec_as::<f32>()?)
}

/// The weights that a model has taken for training: whose gradients are wanted.
#[derive(Default)]
pub struct Leaves(RefCell<BTreeMap<String, Leaf>>);

impl Leaves {
    /// The gradient of every weight, in the checkpoint's layout.
    pub fn gradients(&self, gradients: &Gradients) -> Result<Vec<(String, Array)>> {
        let leaves = self.0.borrow();
        let read = leaves.iter().filter_map(|(name, leaf)| Some((name, leaf(gradients)?)));
        read.map(|(name, gradient)| Ok((name.clone(), gradient?))).collect()
    }
}

/// A path into the checkpoint, below which a layer finds its tensors.
pub struct Weights<'a> {
    checkpoint: &'a Named,
    leaves: Option<&'a Leaves>,
    path: String,
}

impl<'a> Weights<'a> {
    /// The whole checkpoint; with `leaves`, to train.
    pub fn new(checkpoint: &'a Named, leaves: Option<&'a Leaves>) -> Self {
        Self { checkpoint, leaves, path: String::new() }
    }

    /// One step further down.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { path: format!("{}{name}.", self.path), ..*self }
    }

    pub fn training(&self) -> bool {
        self.leaves.is_some()
    }

    /// A tensor that is never trained, of exactly that shape.
    pub fn constant<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<D>> {
        let name = format!("{}{name}", self.path);
        let tensor = get(self.checkpoint, &name)?;
        if tensor.dims() != shape {
            let found = tensor.dims();
            return Err(Failure::Error(format!("{name} has shape {found:?}; expected {shape:?}")));
        }
        Ok(tensor)
    }

    /// A weight of exactly that shape. In training it has a gradient.
    pub fn get<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<D>> {
        let tensor = self.constant(name, shape)?;
        let Some(leaves) = self.leaves else { return Ok(tensor) };
        let tensor = tensor.autodiff().require_grad();
        let leaf = tensor.clone();
        let read: Leaf = Box::new(move |gradients| leaf.grad(gradients).map(to_host));
        leaves.0.borrow_mut().insert(format!("{}{name}", self.path), read);
        Ok(tensor)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Values between -1 and 1 that repeat nowhere; the shape of each tensor by name.
    pub fn waves(shapes: &[(&str, &[usize])]) -> Named {
        let wave = |index: usize, shape: &[usize]| {
            let length: usize = shape.iter().product();
            let data = (0..length).map(|i| (0.7 * i as f32 + index as f32).sin()).collect();
            Array::new(shape.to_vec(), data).expect("as many values as the shape has")
        };
        let arrays =
            shapes.iter().enumerate().map(|(index, (name, shape))| (name.to_string(), wave(index, shape)));
        to_device(arrays.collect(), &Device::flex())
    }

    /// The values of `found` and `expected`, which agree to `tolerance`.
    pub fn assert_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>, tolerance: f32) {
        assert_eq!(found.dims(), expected.dims());
        let difference: f32 =
            (found.without_autodiff() - expected.without_autodiff()).abs().max().into_scalar();
        assert!(difference <= tolerance, "they differ by {difference}");
    }

    #[test]
    fn a_tensor_that_is_not_there_is_missing() {
        let checkpoint = waves(&[("a.weight", &[2, 3])]);
        let weights = Weights::new(&checkpoint, None);
        assert!(weights.at("a").get("weight", [2, 3]).is_ok());
        let missing = weights.at("b").get("weight", [2, 3]);
        assert!(matches!(missing, Err(Failure::MissingTensor(name)) if name == "b.weight"));
    }

    #[test]
    fn a_tensor_of_another_shape_is_an_error() {
        let checkpoint = waves(&[("a.weight", &[2, 3])]);
        let weights = Weights::new(&checkpoint, None).at("a");
        assert!(matches!(weights.get("weight", [3, 2]), Err(Failure::Error(_))));
        assert!(matches!(weights.get("weight", [6]), Err(Failure::Error(_))));
    }

    #[test]
    fn weights_have_gradients_and_constants_have_none() -> Result<()> {
        let checkpoint = waves(&[("factor", &[3]), ("offset", &[3])]);
        let leaves = Leaves::default();
        let weights = Weights::new(&checkpoint, Some(&leaves));
        let loss = (weights.get("factor", [3])? * weights.constant("offset", [3])?).sum();
        let gradients = leaves.gradients(&loss.backward())?;
        assert_eq!(gradients, [("factor".to_string(), to_host(get::<1>(&checkpoint, "offset")?)?)]);
        Ok(())
    }
}
