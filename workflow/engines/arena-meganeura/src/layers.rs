//! Layers that several models share.

use arena::Result;
use meganeura::graph::NodeId;

use crate::network::{Form, HIDDEN, Network};

/// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: with t = 1 / (1 + P z),
/// erf(z) = 1 - (A₁ t + … + A₅ t⁵) exp(-z²) for z ≥ 0, with an error of 1.5e-7 at most.
const ERF_P: f64 = 0.327_591_1;
const ERF_A: [f64; 5] = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];

impl Network<'_> {
    /// x / √(mean(x²) + eps) · weight over the last dimension of `x` (rows, size).
    pub fn rms_norm(&mut self, x: NodeId, name: &str, eps: f32) -> Result<NodeId> {
        let size = self.shape(x)[1];
        let weight = format!("{name}.weight");
        if self.form == Form::Training {
            let weight = self.parameter(&weight, &[size], &[1, size])?;
            return Ok(self.normalised(x, weight, eps));
        }
        let weight = self.whole(&weight, &[size])?;
        Ok(self.graph.rms_norm(x, weight, eps))
    }

    /// Layer normalisation over the last dimension of `x` (rows, size).
    pub fn layer_norm(&mut self, x: NodeId, name: &str, eps: f32) -> Result<NodeId> {
        let size = self.shape(x)[1];
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        if self.form == Form::Training {
            let weight = self.parameter(&weight, &[size], &[1, size])?;
            let mean = self.row_means(x, -1.0);
            let centred = self.graph.add(x, mean);
            let normed = self.normalised(centred, weight, eps);
            return self.add_bias(normed, name);
        }
        let (weight, bias) = (self.whole(&weight, &[size])?, self.whole(&bias, &[size])?);
        Ok(self.graph.layer_norm(x, weight, bias, eps))
    }

    /// x / √(mean(x²) + eps) · weight of `x` (rows, size) and `weight` (1, size), for training.
    ///
    /// Not Meganeura's own: the gradient of its `RmsNorm` lacks a barrier between reading one sum and writing
    /// the next, and that of its `LayerNorm` reads all of `x` for every column, while llvmpipe ends a thread's
    /// loops after 65535 rounds.
    fn normalised(&mut self, x: NodeId, weight: NodeId, eps: f32) -> NodeId {
        let rows = self.shape(x)[0];
        let squares = self.graph.mul(x, x);
        let means = self.row_means(squares, 1.0);
        let means = self.shifted(means, eps);
        let logarithms = self.graph.log(means);
        let exponents = self.scaled(logarithms, -0.5);
        let inverse = self.exp(exponents);
        let column = self.filled(1.0, &[rows, 1]);
        let weights = self.graph.matmul(column, weight);
        let gain = self.graph.mul(inverse, weights);
        self.graph.mul(x, gain)
    }

    /// `factor` times the mean of each row of `x` (rows, size), at every place of the row.
    fn row_means(&mut self, x: NodeId, factor: f32) -> NodeId {
        let size = self.shape(x)[1];
        let column = self.filled(factor / size as f32, &[size, 1]);
        let row = self.filled(1.0, &[1, size]);
        let means = self.graph.matmul(x, column);
        self.graph.matmul(means, row)
    }

    /// `x` + down(silu(gate(normed)) · up(normed)), without biases; both are (rows, size).
    ///
    /// Meganeura makes one product of gate and up.
    pub fn add_swiglu(&mut self, x: NodeId, normed: NodeId, name: &str, inner: usize) -> Result<NodeId> {
        let size = self.shape(x)[1];
        let gate = self.linear(normed, &format!("{name}.gate_proj"), inner)?;
        let up = self.linear(normed, &format!("{name}.up_proj"), inner)?;
        let gated = self.graph.swiglu(gate, up);
        let down = self.linear(gated, &format!("{name}.down_proj"), size)?;
        Ok(self.graph.add(x, down))
    }

    /// 0 where row t may see column s ≤ t, very negative elsewhere; none for a single row, which sees all.
    pub fn causal_mask(&mut self, time: usize) -> Option<NodeId> {
        let values = (0..time).flat_map(|t| (0..time).map(move |s| if s <= t { 0.0 } else { HIDDEN }));
        (time > 1).then(|| self.graph.constant(values.collect(), &[time, time]))
    }

    /// The last row of `x` (rows, size): (1, size).
    pub fn last_row(&mut self, x: NodeId) -> NodeId {
        let shape = self.shape(x);
        let [rows, size] = shape[..] else { unreachable!("a matrix") };
        if rows == 1 {
            return x;
        }
        let flat = self.graph.reshape(x, &[rows * size]);
        let last = self.graph.split_b(flat, 1, rows as u32 - 1, 1, size as u32);
        self.graph.reshape(last, &[1, size])
    }

    /// x · `factor`
    pub fn scaled(&mut self, x: NodeId, factor: f32) -> NodeId {
        let shape = self.shape(x);
        let factor = self.filled(factor, &shape);
        self.graph.mul(x, factor)
    }

    /// x + `term`, of `x` (rows, size).
    pub fn shifted(&mut self, x: NodeId, term: f32) -> NodeId {
        let size = self.shape(x)[1];
        let term = self.filled(term, &[size]);
        self.graph.bias_add(x, term)
    }

    /// exp(x) as σ(x) / σ(-x): Meganeura has no exponential.
    pub fn exp(&mut self, x: NodeId) -> NodeId {
        let negative = self.graph.neg(x);
        let (above, below) = (self.graph.sigmoid(x), self.graph.sigmoid(negative));
        self.graph.div(above, below)
    }

    /// The mean over rows of log Σ exp(logits), plus the mean over all elements of logits · labels.
    ///
    /// Meganeura's `CrossEntropyLoss` and the softmax of its gradient go through a row in one thread, which
    /// llvmpipe ends after 65535 rounds.
    pub fn cross_entropy(&mut self, logits: NodeId, labels: NodeId) -> NodeId {
        let classes = self.shape(logits)[1];
        let exponentials = self.exp(logits);
        let column = self.filled(1.0, &[classes, 1]);
        let sums = self.graph.matmul(exponentials, column);
        let logarithms = self.graph.log(sums);
        let normaliser = self.graph.mean_all(logarithms);
        let products = self.graph.mul(logits, labels);
        let labelled = self.graph.mean_all(products);
        self.graph.add(normaliser, labelled)
    }

    /// The exact GELU, x · Φ(x) = relu(x) - |x| · (1 - erf(|x| / √2)) / 2, of `x` (rows, size).
    ///
    /// Meganeura's `Gelu` is the approximation by tanh, and its backward pass that of another one.
    pub fn gelu(&mut self, x: NodeId) -> NodeId {
        // With r = 1 / (|x| + c) the polynomial's variable is t = c r: no product with a constant is needed.
        let c = std::f64::consts::SQRT_2 / ERF_P;
        let coefficients: Vec<f64> = (1..).zip(ERF_A).map(|(power, a)| a * c.powi(power)).collect();
        let highest = coefficients[4];
        let size = self.graph.abs(x);
        let r = self.shifted(size, c as f32);
        let r = self.graph.recip(r);
        let mut polynomial = r;
        for coefficient in coefficients[..4].iter().rev() {
            let sum = self.shifted(polynomial, (coefficient / highest) as f32);
            polynomial = self.graph.mul(sum, r);
        }
        let square = self.graph.mul(x, x);
        let exponent = self.scaled(square, -0.5);
        let exponential = self.exp(exponent);
        let product = self.graph.mul(polynomial, exponential);
        let product = self.graph.mul(product, size);
        let correction = self.scaled(product, (-0.5 * highest) as f32);
        let positive = self.graph.relu(x);
        self.graph.add(positive, correction)
    }
}
