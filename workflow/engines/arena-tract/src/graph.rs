//! An ONNX file as tract reads it: sizes put in for its symbols, a cache kept inside, a plan made of it.

use std::collections::HashMap;
use std::path::Path;

use arena::{Failure, Result};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::transform::get_transform;

/// What tract's own programs apply to language models: rotary embeddings, attention and caches become one operator each.
const TRANSFORMERS: &str = "transformers_detect_all";

pub struct Graph {
    model: TypedModel,
    names: Vec<String>,
}

impl Graph {
    /// Read the file; an axis that may change is a symbol of the name that the file gives it.
    pub fn load(path: &Path) -> Result<Self> {
        let model = tract_onnx::onnx().model_for_path(path).map_err(tract)?;
        let model = model.into_typed().map_err(tract)?;
        let names = model.inputs.iter().map(|outlet| model.node(outlet.node).name.clone()).collect();
        Ok(Self { model, names })
    }

    /// The names of the inputs, in the order in which a plan takes them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The graph for inputs of these shapes. The export calls the axis `k` of an input `{name}_{k}`.
    pub fn of_sizes<'a>(&self, shapes: impl Iterator<Item = (&'a str, &'a [usize])>) -> Result<Self> {
        let mut sizes = HashMap::new();
        for (name, shape) in shapes {
            for (axis, &size) in shape.iter().enumerate() {
                if let Some(symbol) = self.model.symbols.get(&format!("{name}_{axis}")) {
                    sizes.insert(symbol, size.to_dim());
                }
            }
        }
        let model = self.model.set_symbols(&sizes).map_err(tract)?;
        Ok(Self { model, names: self.names.clone() })
    }

    /// The graph with its past keys and values inside: what remains of inputs and outputs are tokens and logits.
    pub fn with_cache(mut self) -> Result<Self> {
        let transform = get_transform(TRANSFORMERS).map_err(tract)?;
        let transform = transform.ok_or_else(|| Failure::Error(format!("tract has no {TRANSFORMERS}")))?;
        transform.transform(&mut self.model).map_err(tract)?;
        let (inputs, outputs) = (self.model.inputs.len(), self.model.outputs.len());
        if (inputs, outputs) != (1, 1) {
            return Err(Failure::Error(format!(
                "{inputs} inputs and {outputs} outputs are left of the graph with a cache; expected tokens and logits"
            )));
        }
        Ok(self)
    }

    /// Optimise the graph and order its operators.
    pub fn into_plan(self, options: &RunOptions) -> Result<Arc<TypedRunnableModel>> {
        let model = self.model.into_optimized().map_err(tract)?;
        TypedSimplePlan::new_with_options(model, options).map_err(tract)
    }
}

/// An error of tract's, with its causes.
pub fn tract(error: TractError) -> Failure {
    Failure::Error(format!("{error:#}"))
}
