//! A graph under construction, with the parameters that it takes from the checkpoint.

use std::collections::HashMap;
use std::ops::Range;

use arena::Result;
use arena::tensors::Array;
use meganeura::Graph;
use meganeura::graph::NodeId;

use crate::parameters::{Parameter, Part, Source, Weights, tensor};

/// Added to a score that must not count: its exponential is 0, and nothing overflows.
pub const HIDDEN: f32 = -1e9;

/// Which operators a graph is made of: those that are fastest, or those whose backward pass is right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Inference,
    Training,
}

pub struct Network<'a> {
    pub graph: Graph,
    pub form: Form,
    pub parameters: Vec<Parameter>,
    weights: &'a Weights,
    /// Constant tensors by value and shape.
    constants: HashMap<(u32, Vec<usize>), NodeId>,
}

impl<'a> Network<'a> {
    pub fn new(weights: &'a Weights, form: Form) -> Self {
        Self { graph: Graph::new(), form, parameters: Vec::new(), weights, constants: HashMap::new() }
    }

    pub fn shape(&self, node: NodeId) -> Vec<usize> {
        self.graph.node(node).ty.shape.clone()
    }

    /// A tensor of the checkpoint, for what is computed on the host.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&'a Array> {
        tensor(self.weights, name, shape)
    }

    /// The checkpoint's tensor `name` of shape `shape`, seen as `view`, which has as many elements.
    pub fn parameter(&mut self, name: &str, shape: &[usize], view: &[usize]) -> Result<NodeId> {
        self.leading(name, shape, view)
    }

    /// The first rows of the checkpoint's matrix `name` of shape `shape`: (rows, columns).
    pub fn first_rows(&mut self, name: &str, shape: [usize; 2], rows: usize) -> Result<NodeId> {
        self.leading(name, &shape, &[rows, shape[1]])
    }

    fn leading(&mut self, name: &str, shape: &[usize], view: &[usize]) -> Result<NodeId> {
        self.tensor(name, shape)?;
        let source = Source::Leading { tensor: name.into(), count: view.iter().product() };
        self.parameters.push(Parameter { name: name.into(), source });
        Ok(self.graph.parameter(name, view))
    }

    /// The checkpoint's tensor `name` of shape `shape`.
    pub fn whole(&mut self, name: &str, shape: &[usize]) -> Result<NodeId> {
        self.parameter(name, shape, shape)
    }

    /// Values computed on the host, which no gradient reaches.
    pub fn computed(&mut self, name: &str, values: Vec<f32>, shape: &[usize]) -> NodeId {
        self.parameters.push(Parameter { name: name.into(), source: Source::Computed(values) });
        self.graph.parameter(name, shape)
    }

    /// A constant tensor of one value.
    pub fn filled(&mut self, value: f32, shape: &[usize]) -> NodeId {
        let graph = &mut self.graph;
        let key = (value.to_bits(), shape.to_vec());
        *self
            .constants
            .entry(key)
            .or_insert_with(|| graph.constant(vec![value; shape.iter().product()], shape))
    }

    /// `x` (rows, in) by a linear layer without bias: (rows, `leaving`).
    pub fn linear(&mut self, x: NodeId, name: &str, leaving: usize) -> Result<NodeId> {
        let entering = self.shape(x)[1];
        let weight = self.part(name, "weight", (leaving, entering), (0..leaving, 0..entering), 1.0)?;
        Ok(self.graph.matmul(x, weight))
    }

    /// Outputs `rows` of the `leaving` ones of a linear layer of `x` (time, in), times `factor`.
    pub fn rows_of_linear(
        &mut self,
        x: NodeId,
        name: &str,
        leaving: usize,
        rows: Range<usize>,
        factor: f32,
        bias: bool,
    ) -> Result<NodeId> {
        let entering = self.shape(x)[1];
        let weight = self.part(name, "weight", (leaving, entering), (rows.clone(), 0..entering), factor)?;
        let projected = self.graph.matmul(x, weight);
        if !bias {
            return Ok(projected);
        }
        let bias = self.part(name, "bias", (leaving, 1), (rows, 0..1), factor)?;
        Ok(self.graph.bias_add(projected, bias))
    }

    /// What `x` (time, columns) adds to a linear layer's outputs when it is its inputs `columns`; `shape` is
    /// that of the whole weight, (out, in).
    pub fn columns_of_linear(
        &mut self,
        x: NodeId,
        name: &str,
        shape: (usize, usize),
        columns: Range<usize>,
    ) -> Result<NodeId> {
        let weight = self.part(name, "weight", shape, (0..shape.0, columns), 1.0)?;
        Ok(self.graph.matmul(x, weight))
    }

    /// `x` (rows, size) plus the bias `name`.bias.
    pub fn add_bias(&mut self, x: NodeId, name: &str) -> Result<NodeId> {
        let size = self.shape(x)[1];
        let bias = self.whole(&format!("{name}.bias"), &[size])?;
        Ok(self.graph.bias_add(x, bias))
    }

    /// Part of a linear weight (out, in) as a matrix (in, out), or of a bias, whose shape is given as (out, 1).
    fn part(
        &mut self,
        layer: &str,
        kind: &str,
        (leaving, entering): (usize, usize),
        (rows, columns): (Range<usize>, Range<usize>),
        factor: f32,
    ) -> Result<NodeId> {
        let tensor = format!("{layer}.{kind}");
        let bias = kind == "bias";
        let shape: &[usize] = if bias { &[leaving] } else { &[leaving, entering] };
        self.tensor(&tensor, shape)?;
        let name = if (rows.len(), columns.len()) == (leaving, entering) {
            tensor.clone()
        } else {
            format!("{tensor}[{rows:?},{columns:?}]")
        };
        let (inputs, outputs) = (columns.len(), rows.len());
        let part = Part { rows, columns, width: entering, factor };
        self.parameters.push(Parameter { name: name.clone(), source: Source::Part { tensor, part } });
        let view: &[usize] = if bias { &[outputs] } else { &[inputs, outputs] };
        Ok(self.graph.parameter(&name, view))
    }
}
