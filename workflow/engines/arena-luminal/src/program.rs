//! A graph with its weights and inputs: built from the sizes in config.json, compiled once, run many times.
//!
//! Luminal 0.2 has its shapes in the types, but a graph's shape trackers know them too, and a dimension of
//! the type `Dyn<'-'>` takes its size from there. So one program runs every size of a model.

use arena::{Failure, Result};
use luminal::prelude::symbolic::Expression;
use luminal::prelude::{
    CPUCompiler, Dyn, GenericCompiler, Graph, GraphTensor, NodeIndex, Shape, ShapeTracker, Tensor,
};

use crate::weights::Weights;

/// A dimension whose size only the graph knows.
pub type Size = Dyn<'-'>;
pub type Vector = GraphTensor<(Size,)>;
pub type Matrix = GraphTensor<(Size, Size)>;
pub type Rank3 = (Size, Size, Size);

/// A graph under construction.
pub struct Builder<'a> {
    // Constants point into the graph, which therefore must not move.
    graph: Box<Graph>,
    weights: &'a Weights,
    held: Vec<(String, NodeIndex)>,
}

impl<'a> Builder<'a> {
    pub fn new(weights: &'a Weights) -> Self {
        Self { graph: Box::new(Graph::new()), weights, held: Vec::new() }
    }

    /// The weight of that name, of shape `sizes`. Each name may be asked for once.
    pub fn weight<S: Shape>(&mut self, name: &str, sizes: &[usize]) -> Result<GraphTensor<S>> {
        self.weights.check(name, sizes)?;
        let tensor = self.leaf(name, sizes);
        self.held.push((name.to_string(), tensor.id));
        Ok(tensor)
    }

    /// A tensor that the host fills: with `data` now, and later through [`Program::set`].
    pub fn input<S: Shape>(&mut self, name: &str, sizes: &[usize], data: Vec<f32>) -> Result<GraphTensor<S>> {
        if sizes.iter().product::<usize>() != data.len() {
            return Err(Failure::Error(format!("{name}: {} values for shape {sizes:?}", data.len())));
        }
        let tensor = self.leaf(name, sizes);
        self.graph.set_tensor(tensor.id, 0, Tensor::new(data));
        Ok(tensor)
    }

    fn leaf<S: Shape>(&mut self, name: &str, sizes: &[usize]) -> GraphTensor<S> {
        sized(self.graph.named_tensor::<S>(name).keep(), sizes)
    }

    /// Compile the graph, which computes `outputs`.
    ///
    /// Fails if an `Equal` is left, which in Luminal 0.2 computes a < b: the compiler should have made it,
    /// with what surrounds it, a look-up.
    pub fn finish(mut self, mut outputs: Vec<Matrix>) -> Result<Program> {
        for output in &mut outputs {
            *output = output.contiguous().retrieve();
        }
        self.graph.compile(<(GenericCompiler, CPUCompiler)>::default(), &mut outputs);
        if self.graph.graph.node_weights().any(|operator| format!("{operator:?}") == "Equal") {
            return Err(Failure::Error("Luminal left an Equal, which it computes wrongly".into()));
        }
        let outputs = outputs.iter().map(|output| output.id).collect();
        Ok(Program { graph: self.graph, held: self.held, outputs })
    }
}

/// `tensor`, whose elements are taken to have the shape `sizes`.
pub fn sized<S: Shape>(mut tensor: GraphTensor<S>, sizes: &[usize]) -> GraphTensor<S> {
    let sizes: Vec<Expression> = sizes.iter().map(Expression::from).collect();
    tensor.shape = ShapeTracker::new(&sizes);
    tensor
}

/// `tensor` with a new dimension at `axis`, along which it is repeated `count` times.
pub fn broadcast<From: Shape, To: Shape>(
    tensor: GraphTensor<From>,
    axis: usize,
    count: usize,
) -> GraphTensor<To> {
    let mut shape = tensor.shape;
    shape.expand(axis, count.into());
    GraphTensor::from_id(tensor.id, shape, tensor.graph_ref)
}

/// `tensor` in another shape of as many elements.
pub fn reshape<From: Shape, To: Shape>(tensor: GraphTensor<From>, sizes: &[usize]) -> GraphTensor<To> {
    tensor.contiguous().dyn_reshape(sizes.iter().map(Expression::from).collect())
}

/// The size of a dimension.
pub fn size<S: Shape>(tensor: GraphTensor<S>, axis: usize) -> usize {
    tensor.shape.shape()[axis].to_usize().expect("sizes are known when the graph is built")
}

/// A compiled graph.
pub struct Program {
    graph: Box<Graph>,
    held: Vec<(String, NodeIndex)>,
    outputs: Vec<NodeIndex>,
}

impl Program {
    /// Borrow the weights, which [`Program::run`] needs.
    pub fn attach(&mut self, weights: &mut Weights) -> Result<()> {
        for (name, node) in &self.held {
            self.graph.set_tensor(*node, 0, weights.take(name)?);
        }
        Ok(())
    }

    /// Give the weights back.
    pub fn detach(&mut self, weights: &mut Weights) {
        for (name, node) in &self.held {
            if let Some(tensor) = self.graph.get_tensor(*node, 0) {
                weights.give(name, tensor);
            }
        }
    }

    /// Compute the outputs. Those of the run before must have been taken out: what is in the graph already
    /// Luminal does not compute.
    pub fn run(&mut self) {
        self.graph.execute();
    }

    /// Take output `index` of the latest run out of the graph.
    pub fn output(&mut self, index: usize) -> Result<Tensor> {
        let tensor = self.graph.get_tensor(self.outputs[index], 0);
        tensor.ok_or_else(|| Failure::Error(format!("output {index} was not computed")))
    }

    /// Change the numbers of an input from element `start` on.
    pub fn set(&mut self, node: NodeIndex, start: usize, values: &[f32]) -> Result<()> {
        let tensor = self.graph.tensors.get_mut(&(node, 0));
        let data = tensor.and_then(|tensor| tensor.data.as_any_mut().downcast_mut::<Vec<f32>>());
        let place = data.and_then(|data| data.get_mut(start..start + values.len()));
        place.ok_or_else(|| Failure::Error("no such input".into()))?.copy_from_slice(values);
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::weights::floats;

    fn program(build: impl FnOnce(&mut Builder) -> Result<Matrix>, weights: &mut Weights) -> Program {
        let mut cx = Builder::new(weights);
        let output = build(&mut cx).unwrap();
        let mut program = cx.finish(vec![output]).unwrap();
        program.attach(weights).unwrap();
        program
    }

    /// What a graph on these weights computes.
    pub fn computed_on(
        weights: &mut Weights,
        build: impl FnOnce(&mut Builder) -> Result<Matrix>,
    ) -> Vec<f32> {
        let mut program = program(build, weights);
        program.run();
        floats(&program.output(0).unwrap()).unwrap().clone()
    }

    /// What a graph without weights computes.
    pub fn computed(build: impl FnOnce(&mut Builder) -> Result<Matrix>) -> Vec<f32> {
        computed_on(&mut Weights::default(), build)
    }

    /// The names of a compiled graph's operators.
    pub fn compiled(build: impl FnOnce(&mut Builder) -> Result<Matrix>) -> Vec<String> {
        let program = program(build, &mut Weights::default());
        program.graph.graph.node_weights().map(|operator| format!("{operator:?}")).collect()
    }

    #[test]
    fn a_program_runs_again_with_what_was_set_and_gives_its_weights_back() {
        let mut weights = Weights::from([("w", vec![1, 2], vec![3.0, 4.0])]);
        let mut cx = Builder::new(&weights);
        let x: Matrix = cx.input("x", &[1, 2], vec![1.0, 1.0]).unwrap();
        let w: Matrix = cx.weight("w", &[1, 2]).unwrap();
        let mut program = cx.finish(vec![x * w]).unwrap();
        for _ in 0..2 {
            program.attach(&mut weights).unwrap();
            program.run();
            assert_eq!(floats(&program.output(0).unwrap()).unwrap()[0], 3.0);
            program.run();
            program.set(x.id, 1, &[2.0]).unwrap();
            assert!(program.set(x.id, 2, &[2.0]).is_err());
            program.output(0).unwrap();
            program.run();
            assert_eq!(floats(&program.output(0).unwrap()).unwrap(), &[3.0, 8.0]);
            program.detach(&mut weights);
        }
        assert_eq!(floats(&weights.take("w").unwrap()).unwrap(), &[3.0, 4.0]);
    }
}
