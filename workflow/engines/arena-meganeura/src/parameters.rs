//! The checkpoint's tensors in the layouts that Meganeura multiplies with, and gradients back again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arena::tensors::Array;
use arena::{Failure, Result};
use meganeura::Session;
use meganeura::graph::ParamTransform;

/// The checkpoint: every tensor by name.
pub type Weights = BTreeMap<String, Array>;

/// A tensor of the checkpoint, which must have the shape that the architecture gives it.
pub fn tensor<'a>(weights: &'a Weights, name: &str, shape: &[usize]) -> Result<&'a Array> {
    let array = weights.get(name).ok_or_else(|| Failure::MissingTensor(format!("the file has no {name}")))?;
    if array.shape != shape {
        return Err(Failure::Error(format!("{name} has shape {:?}; expected {shape:?}", array.shape)));
    }
    Ok(array)
}

/// Where a parameter's values come from.
pub enum Source {
    /// The first `count` values of a tensor as they lie in the file.
    Leading { tensor: String, count: usize },
    /// A matrix (out, in), transposed: Meganeura's linear weights are (in, out). `width` is in.
    Transposed { tensor: String, width: usize },
    /// Computed from several tensors; no gradient leads back to them.
    Computed(Vec<f32>),
}

/// A parameter of the graph.
pub struct Parameter {
    pub name: String,
    pub source: Source,
}

impl Parameter {
    /// Copy the values into the session's buffer.
    pub fn upload(&self, session: &mut Session, weights: &Weights) -> Result<()> {
        let values: Cow<[f32]> = match &self.source {
            Source::Leading { tensor, count } => Cow::Borrowed(&data(weights, tensor)?.data[..*count]),
            Source::Transposed { tensor, width } => {
                Cow::Owned(transposed(&data(weights, tensor)?.data, *width))
            }
            Source::Computed(values) => Cow::Borrowed(values),
        };
        // Unchecked by Meganeura, which would write beyond the buffer.
        let size = session.param_size(&self.name);
        if size != Some(values.len()) {
            return Err(Failure::Error(format!("{}: {} values for {size:?}", self.name, values.len())));
        }
        session.set_parameter(&self.name, &values);
        Ok(())
    }

    /// Put the gradient of the last step into the gradients of the checkpoint's tensors.
    pub fn download(
        &self,
        session: &Session,
        weights: &Weights,
        gradients: &mut BTreeMap<String, Array>,
    ) -> Result<()> {
        let (Source::Leading { tensor, .. } | Source::Transposed { tensor, .. }) = &self.source else {
            return Ok(());
        };
        let whole = data(weights, tensor)?;
        let target = gradients
            .entry(tensor.clone())
            .or_insert_with(|| Array { shape: whole.shape.clone(), data: vec![0.0; whole.data.len()] });
        match &self.source {
            Source::Leading { count, .. } => {
                target.data[..*count].copy_from_slice(&gradient(session, &self.name, *count)?);
            }
            Source::Transposed { width, .. } => {
                let count = target.data.len();
                target.data = transposed(&gradient(session, &self.name, count)?, count / width);
            }
            Source::Computed(_) => {}
        }
        Ok(())
    }
}

/// The transpose of a matrix of `width` columns.
fn transposed(matrix: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| matrix.iter().skip(column).step_by(width)).copied().collect()
}

fn data<'a>(weights: &'a Weights, name: &str) -> Result<&'a Array> {
    weights.get(name).ok_or_else(|| Failure::MissingTensor(format!("the file has no {name}")))
}

/// The gradient of the parameter `name` of `count` values.
///
/// Where Meganeura has put weights side by side into one (the gate and the other half of a SwiGLU), the
/// gradient is that of the wide one, and this one's columns are picked from it.
fn gradient(session: &Session, name: &str, count: usize) -> Result<Vec<f32>> {
    let plan = session.plan();
    let wide = plan.derived_params.iter().find(|(_, sources, transform)| {
        matches!(transform, ParamTransform::HorizontalConcat)
            && sources.iter().any(|(source, _)| source == name)
    });
    let Some((buffer, sources, _)) = wide else {
        return match session.param_buffer(name) {
            Some(buffer) => read_gradient(session, buffer, count, name),
            None => Err(Failure::Error(format!("the graph has no parameter {name}"))),
        };
    };
    let before = sources.iter().take_while(|(source, _)| source != name);
    let start: usize = before.map(|(_, columns)| columns).sum();
    let columns = sources.iter().find(|(source, _)| source == name).map_or(0, |(_, columns)| *columns);
    let total: usize = sources.iter().map(|(_, columns)| columns).sum();
    let rows = count / columns;
    let values = read_gradient(session, *buffer, rows * total, name)?;
    Ok(values.chunks_exact(total).flat_map(|row| &row[start..start + columns]).copied().collect())
}

fn read_gradient(
    session: &Session,
    parameter: meganeura::compile::BufferRef,
    count: usize,
    name: &str,
) -> Result<Vec<f32>> {
    let plan = session.plan();
    let pair = plan.param_grad_pairs.iter().find(|(buffer, _)| *buffer == parameter);
    // A parameter without a gradient is paired with a scalar; buffers may be padded.
    let found = pair.filter(|(_, gradient)| plan.buffers[gradient.0 as usize] >= 4 * count);
    let Some((_, buffer)) = found else {
        return Err(Failure::Error(format!("Meganeura computes no gradient of {name}")));
    };
    let mut values = vec![0.0; count];
    session.read_buffer(*buffer, &mut values);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::transposed;

    #[test]
    fn transposed_twice_is_the_matrix_itself() {
        let matrix = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(transposed(&matrix, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(transposed(&transposed(&matrix, 3), 2), matrix);
    }
}
