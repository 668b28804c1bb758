//! Layers that several models share.

use arena::Result;
use meganeura::graph::NodeId;

use crate::network::Network;

/// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: with t = 1 / (1 + P z),
/// erf(z) = 1 - (A₁ t + … + A₅ t⁵) exp(-z²) for z ≥ 0, with an error of 1.5e-7 at most.
const ERF_P: f64 = 0.327_591_1;
const ERF_A: [f64; 5] = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];

impl Network<'_> {
    /// x / √(mean(x²) + eps) · weight over the last dimension of `x` (rows, size).
    pub fn rms_norm(&mut self, x: NodeId, name: &str, eps: f32) -> Result<NodeId> {
        let size = self.shape(x)[1];
        let weight = self.whole(&format!("{name}.weight"), &[size])?;
        Ok(self.graph.rms_norm(x, weight, eps))
    }

    /// Layer normalisation over the last dimension of `x` (rows, size).
    pub fn layer_norm(&mut self, x: NodeId, name: &str, eps: f32) -> Result<NodeId> {
        let size = self.shape(x)[1];
        let weight = self.whole(&format!("{name}.weight"), &[size])?;
        let bias = self.whole(&format!("{name}.bias"), &[size])?;
        Ok(self.graph.layer_norm(x, weight, bias, eps))
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

    /// The exact GELU, x · Φ(x) = relu(x) - |x| · (1 - erf(|x| / √2)) / 2, of `x` (rows, size).
    ///
    /// Meganeura's `Gelu` is an approximation, and its backward pass that of another one.
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
        let exponential = self.graph.exp(exponent);
        let product = self.graph.mul(polynomial, exponential);
        let product = self.graph.mul(product, size);
        let correction = self.scaled(product, (-0.5 * highest) as f32);
        let positive = self.graph.relu(x);
        self.graph.add(positive, correction)
    }
}
