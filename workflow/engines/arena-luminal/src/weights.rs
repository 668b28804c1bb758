//! The model's weights, which one program after another borrows.

use std::collections::BTreeMap;
use std::path::Path;

use arena::tensors::{Array, File};
use arena::{Failure, Result};
use luminal::prelude::Tensor;

/// Tensors by name. A tensor that a program holds is in that program's graph, and only its shape is here.
#[derive(Default)]
pub struct Weights(BTreeMap<String, Weight>);

struct Weight {
    shape: Vec<usize>,
    tensor: Option<Tensor>,
}

impl Weights {
    /// Read every tensor of a safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        let mut weights = Self::default();
        for (name, array) in File::open(path)?.arrays()? {
            weights.insert(name, array);
        }
        Ok(weights)
    }

    fn insert(&mut self, name: String, array: Array) {
        self.0.insert(name, Weight { shape: array.shape, tensor: Some(Tensor::new(array.data)) });
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        self.0.get(name).map(|weight| weight.shape.as_slice()).ok_or_else(|| missing(name))
    }

    /// Fails unless there is a tensor of this name and shape.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let found = self.shape(name)?;
        if found != shape {
            return Err(Failure::Error(format!("{name} has shape {found:?}; expected {shape:?}")));
        }
        Ok(())
    }

    /// Lend the tensor to a program.
    pub fn take(&mut self, name: &str) -> Result<Tensor> {
        self.0.get_mut(name).and_then(|weight| weight.tensor.take()).ok_or_else(|| missing(name))
    }

    /// Take a lent tensor back.
    pub fn give(&mut self, name: &str, tensor: Tensor) {
        if let Some(weight) = self.0.get_mut(name) {
            weight.tensor = Some(tensor);
        }
    }

    /// Put in place of `name` its `count` equal parts along `axis`, named `name.0`, `name.1`, …
    pub fn split(&mut self, name: &str, axis: usize, count: usize) -> Result<()> {
        let Weight { shape, tensor } = self.0.remove(name).ok_or_else(|| missing(name))?;
        let tensor = tensor.ok_or_else(|| missing(name))?;
        let data = floats(&tensor)?;
        let size = shape.get(axis).copied().unwrap_or(0);
        if size == 0 || !size.is_multiple_of(count) {
            return Err(Failure::Error(format!("{name} of shape {shape:?} has no {count} equal parts")));
        }
        let inner = size / count * shape[axis + 1..].iter().product::<usize>();
        for index in 0..count {
            let chunks = data.chunks_exact(inner).skip(index).step_by(count);
            let mut part = shape.clone();
            part[axis] = size / count;
            self.insert(format!("{name}.{index}"), Array::new(part, chunks.flatten().copied().collect())?);
        }
        Ok(())
    }

    /// Put in place of the kernels `name`, (out, in, …), a matrix (out, in) for each tap, named `name.0`, …
    pub fn split_taps(&mut self, name: &str) -> Result<()> {
        let weight = self.0.get_mut(name).ok_or_else(|| missing(name))?;
        let [out, entering, sides @ ..] = &weight.shape[..] else {
            return Err(Failure::Error(format!("{name} has shape {:?}; expected kernels", weight.shape)));
        };
        let (out, entering, taps) = (*out, *entering, sides.iter().product());
        weight.shape = vec![out * entering, taps];
        self.split(name, 1, taps)?;
        for tap in 0..taps {
            let part = self.0.get_mut(&format!("{name}.{tap}")).ok_or_else(|| missing(name))?;
            part.shape = vec![out, entering];
        }
        Ok(())
    }

    /// Names of all tensors that end in `end`.
    pub fn ending(&self, end: &str) -> Vec<String> {
        self.0.keys().filter(|name| name.ends_with(end)).cloned().collect()
    }

    /// Change the numbers of a tensor.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut [f32])) -> Result<()> {
        let tensor = self.0.get_mut(name).and_then(|weight| weight.tensor.as_mut());
        let data = tensor.and_then(|tensor| tensor.data.as_any_mut().downcast_mut::<Vec<f32>>());
        change(data.ok_or_else(|| missing(name))?);
        Ok(())
    }

    /// The numbers of a tensor.
    pub fn read(&self, name: &str) -> Result<&Vec<f32>> {
        let tensor = self.0.get(name).and_then(|weight| weight.tensor.as_ref());
        floats(tensor.ok_or_else(|| missing(name))?)
    }
}

/// The numbers of a tensor on the CPU.
pub fn floats(tensor: &Tensor) -> Result<&Vec<f32>> {
    tensor.data.as_any().downcast_ref().ok_or_else(|| Failure::Error("a tensor that is not float32".into()))
}

fn missing(name: &str) -> Failure {
    Failure::MissingTensor(format!("no tensor {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<const N: usize> From<[(&str, Vec<usize>, Vec<f32>); N]> for Weights {
        fn from(tensors: [(&str, Vec<usize>, Vec<f32>); N]) -> Self {
            let mut weights = Self::default();
            for (name, shape, data) in tensors {
                weights.insert(name.into(), Array::new(shape, data).unwrap());
            }
            weights
        }
    }

    fn weights() -> Weights {
        Weights::from([("w", vec![2, 4], (0..8).map(|i| i as f32).collect())])
    }

    #[test]
    fn rows_and_columns_are_split() {
        let mut rows = weights();
        rows.split("w", 0, 2).unwrap();
        assert_eq!(floats(&rows.take("w.1").unwrap()).unwrap(), &[4.0, 5.0, 6.0, 7.0]);
        let mut columns = weights();
        columns.split("w", 1, 2).unwrap();
        columns.check("w.0", &[2, 2]).unwrap();
        assert_eq!(floats(&columns.take("w.0").unwrap()).unwrap(), &[0.0, 1.0, 4.0, 5.0]);
        assert_eq!(floats(&columns.take("w.1").unwrap()).unwrap(), &[2.0, 3.0, 6.0, 7.0]);
    }

    #[test]
    fn taps_are_matrices_of_channels() {
        let mut weights = Weights::from([("w", vec![1, 2, 2, 1], vec![1.0, 2.0, 3.0, 4.0])]);
        weights.split_taps("w").unwrap();
        weights.check("w.1", &[1, 2]).unwrap();
        assert_eq!(floats(&weights.take("w.0").unwrap()).unwrap(), &[1.0, 3.0]);
        assert_eq!(floats(&weights.take("w.1").unwrap()).unwrap(), &[2.0, 4.0]);
    }

    #[test]
    fn what_is_not_there_is_a_missing_tensor() {
        let mut weights = weights();
        assert!(matches!(weights.check("v", &[1]), Err(Failure::MissingTensor(_))));
        assert!(weights.check("w", &[4, 2]).is_err());
        weights.take("w").unwrap();
        assert!(matches!(weights.take("w"), Err(Failure::MissingTensor(_))));
    }
}
