//! The two losses of the workloads, in float64: what the engine's own outputs are scored with.
//! The same formulas as `workflow/scripts/arena/judging/losses.py`.

use crate::tensors::{Array, Input};
use crate::{Failure, Result};

/// `cross_entropy`: mean over positions of log(sum(exp(logits))) - logits[label], the maximum subtracted
/// before exp. `mse`: mean over elements of (output - target)². Nothing is shifted.
pub fn loss(kind: &str, output: &Array, target: &Input) -> Result<f64> {
    match kind {
        "cross_entropy" => cross_entropy(output, target.integers()?),
        "mse" => mse(output, target.float()?),
        other => Err(Failure::Error(format!("loss {other:?}: expected cross_entropy or mse"))),
    }
}

fn cross_entropy(output: &Array, labels: &[i64]) -> Result<f64> {
    let classes = output.shape.last().copied().unwrap_or(0);
    if classes == 0 || output.data.len() != classes * labels.len() {
        let shape = &output.shape;
        return Err(Failure::Error(format!("{} labels for an output of shape {shape:?}", labels.len())));
    }
    let mut total = 0.0;
    for (logits, &label) in output.data.chunks_exact(classes).zip(labels) {
        let label = usize::try_from(label).ok().filter(|&index| index < classes);
        let label = label.ok_or_else(|| Failure::Error(format!("a label outside 0…{}", classes - 1)))?;
        let shift = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - shift).exp()).sum();
        total += shift + sum.ln() - f64::from(logits[label]);
    }
    Ok(total / labels.len() as f64)
}

fn mse(output: &Array, target: &Array) -> Result<f64> {
    if output.shape != target.shape || output.data.is_empty() {
        let (found, expected) = (&output.shape, &target.shape);
        return Err(Failure::Error(format!("output of shape {found:?}; expected the target's {expected:?}")));
    }
    let squares = output.data.iter().zip(&target.data).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    Ok(squares.sum::<f64>() / output.data.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_logits_cost_the_logarithm_of_the_classes() {
        let output = Array::new(vec![2, 4], vec![1000.0; 8]).unwrap();
        let labels = Input::Integer { shape: vec![2], data: vec![0, 3] };
        assert!((loss("cross_entropy", &output, &labels).unwrap() - 4f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn mean_square_of_the_differences() {
        let output = Array::new(vec![2], vec![1.0, 3.0]).unwrap();
        let target = Input::Float(Array::new(vec![2], vec![0.0, 1.0]).unwrap());
        assert_eq!(loss("mse", &output, &target).unwrap(), 2.5);
    }

    #[test]
    fn a_label_out_of_range_is_an_error() {
        let output = Array::new(vec![1, 2], vec![0.0; 2]).unwrap();
        let labels = Input::Integer { shape: vec![1], data: vec![2] };
        assert!(loss("cross_entropy", &output, &labels).is_err());
    }
}
