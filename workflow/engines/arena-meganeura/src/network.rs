//! A graph under construction, with the parameters that it takes from the checkpoint.

use std::collections::HashMap;

use arena::Result;
use arena::tensors::Array;
use meganeura::Graph;
use meganeura::graph::NodeId;

use crate::parameters::{Parameter, Source, Weights, tensor};

/// Added to a score that must not count: its exponential is 0, and nothing overflows.
pub const HIDDEN: f32 = -1e9;

/// What a graph is for; a few operators have no backward pass, or a wrong one.
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
        let tensor = format!("{name}.weight");
        self.tensor(&tensor, &[leaving, entering])?;
        let source = Source::Transposed { tensor: tensor.clone(), width: entering };
        self.parameters.push(Parameter { name: tensor.clone(), source });
        let weight = self.graph.parameter(&tensor, &[entering, leaving]);
        Ok(self.graph.matmul(x, weight))
    }

    /// `x` (rows, size) plus the bias `name`.bias.
    pub fn add_bias(&mut self, x: NodeId, name: &str) -> Result<NodeId> {
        let size = self.shape(x)[1];
        let bias = self.whole(&format!("{name}.bias"), &[size])?;
        Ok(self.graph.bias_add(x, bias))
    }

    /// A constant matrix (rows, columns): 1 where `chosen`, else 0.
    pub fn selection(
        &mut self,
        [rows, columns]: [usize; 2],
        chosen: impl Fn(usize, usize) -> bool,
    ) -> NodeId {
        let cell = |row, column| if chosen(row, column) { 1.0 } else { 0.0 };
        let values = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let values = values.map(|(row, column)| cell(row, column)).collect();
        self.graph.constant(values, &[rows, columns])
    }
}
