//! The checkpoint's tensors in the layouts that Meganeura multiplies with, and gradients back again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use arena::tensors::Array;
use arena::{Failure, Result};
use meganeura::Session;

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

/// Rows (outputs) and columns (inputs) of a linear weight (out, in), or the entries `rows` of a bias.
pub struct Part {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Columns of the whole weight; 1 of a bias.
    pub width: usize,
    /// What the values are multiplied by.
    pub factor: f32,
}

/// Where a parameter's values come from.
pub enum Source {
    /// The first `count` values of a tensor as they lie in the file.
    Leading { tensor: String, count: usize },
    /// Part of a tensor, transposed: Meganeura's linear weights are (in, out).
    Part { tensor: String, part: Part },
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
            Source::Part { tensor, part } => Cow::Owned(part.cut(&data(weights, tensor)?.data)),
            Source::Computed(values) => Cow::Borrowed(values),
        };
        let buffer = session.param_buffer(&self.name);
        let bytes = buffer.map(|buffer| session.plan().buffers[buffer.0 as usize]);
        // Unchecked by Meganeura, which would write beyond the buffer.
        if bytes != Some(4 * values.len()) {
            return Err(Failure::Error(format!(
                "{}: {} values for {bytes:?} bytes",
                self.name,
                values.len()
            )));
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
        let (Source::Leading { tensor, .. } | Source::Part { tensor, .. }) = &self.source else {
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
            Source::Part { part, .. } => {
                let values = gradient(session, &self.name, part.rows.len() * part.columns.len())?;
                part.paste(&values, &mut target.data);
            }
            Source::Computed(_) => {}
        }
        Ok(())
    }
}

impl Part {
    /// Positions in the whole tensor, in the transposed part's order.
    fn positions(&self) -> impl Iterator<Item = usize> {
        self.columns
            .clone()
            .flat_map(move |column| self.rows.clone().map(move |row| row * self.width + column))
    }

    fn cut(&self, whole: &[f32]) -> Vec<f32> {
        self.positions().map(|position| whole[position] * self.factor).collect()
    }

    fn paste(&self, gradient: &[f32], whole: &mut [f32]) {
        for (position, value) in self.positions().zip(gradient) {
            whole[position] = value * self.factor;
        }
    }
}

fn data<'a>(weights: &'a Weights, name: &str) -> Result<&'a Array> {
    weights.get(name).ok_or_else(|| Failure::MissingTensor(format!("the file has no {name}")))
}

/// The gradient of the parameter `name` of `count` values.
///
/// Where Meganeura has put two weights side by side into one (the gate and the other half of a SwiGLU), the
/// gradient is that of the wide one, and this one's columns are picked from it.
fn gradient(session: &Session, name: &str, count: usize) -> Result<Vec<f32>> {
    let plan = session.plan();
    let wide =
        plan.derived_params.iter().find(|(_, sources)| sources.iter().any(|(source, _)| source == name));
    let Some((buffer, sources)) = wide else {
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
    // A parameter without a gradient is paired with a scalar.
    let found = pair.filter(|(_, gradient)| plan.buffers[gradient.0 as usize] == 4 * count);
    let Some((_, buffer)) = found else {
        return Err(Failure::Error(format!("Meganeura computes no gradient of {name}")));
    };
    let mut values = vec![0.0; count];
    session.read_buffer(*buffer, &mut values);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn a_part_is_cut_out_transposed_and_pasted_back() {
        // Outputs 1 and 2 of three, inputs 0 and 1 of four.
        let whole: Vec<f32> = (0..12u8).map(f32::from).collect();
        let part = Part { rows: 1..3, columns: 0..2, width: 4, factor: 2.0 };
        assert_eq!(part.cut(&whole), [8.0, 16.0, 10.0, 18.0]);
        let mut gradient = vec![0.0; 12];
        part.paste(&[1.0, 2.0, 3.0, 4.0], &mut gradient);
        assert_eq!(gradient, [0.0, 0.0, 0.0, 0.0, 2.0, 6.0, 0.0, 0.0, 4.0, 8.0, 0.0, 0.0]);
    }
}
