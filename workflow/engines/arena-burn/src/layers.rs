//! Layers that several models share, on Burn's fused operators where it has them: the same code serves for
//! inference and for training.

use arena::Result;
use burn::module::Param;
use burn::nn::RmsNorm;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, TensorData, activation, module};

use crate::weights::Weights;

/// A linear layer of `x` (…, in) with weight (out, in), as checkpoints have it.
pub struct Linear {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
}

impl Linear {
    /// With a bias if `bias`.
    pub fn new(weights: &Weights, entering: usize, leaving: usize, bias: bool) -> Result<Self> {
        let bias = if bias { Some(weights.get("bias", [leaving])?) } else { None };
        Ok(Self { weight: weights.get("weight", [leaving, entering])?, bias })
    }

    /// A head without bias whose weight is the embedding's.
    pub fn tied(embedding: &Tensor<2>) -> Self {
        Self { weight: embedding.clone(), bias: None }
    }

    /// The transpose is a view: the matrix product reads the weight as it lies.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::linear(x, self.weight.clone().transpose(), self.bias.clone())
    }
}

/// x / √(mean(x²) + eps) · weight over the last dimension.
pub fn rms_norm(weights: &Weights, size: usize, eps: f64) -> Result<RmsNorm> {
    Ok(RmsNorm { gamma: Param::from_tensor(weights.get("weight", [size])?), epsilon: eps })
}

/// Layer normalisation over the last dimension.
pub struct LayerNorm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
}

impl LayerNorm {
    pub fn new(weights: &Weights, size: usize, eps: f64) -> Result<Self> {
        Ok(Self { weight: weights.get("weight", [size])?, bias: weights.get("bias", [size])?, eps })
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::layer_norm(x, self.weight.clone(), Some(self.bias.clone()), self.eps)
    }
}

/// (batch, time, heads · head_dim) to (batch, heads, time, head_dim).
pub fn split_heads(x: Tensor<3>, head_dim: usize) -> Tensor<4> {
    let [batch, time, width] = x.dims();
    x.reshape([batch, time, width / head_dim, head_dim]).swap_dims(1, 2)
}

/// Scaled dot-product attention, several query heads sharing one key-value head.
///
/// `q` is (batch, heads, time, head_dim), `k` and `v` are (batch, kv_heads, source, head_dim); the result is
/// (batch, time, heads · head_dim). If `causal`, query t sees the keys up to `source - time + t`.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, causal: bool) -> Tensor<3> {
    let [batch, heads, time, head_dim] = q.dims();
    let [_, kv_heads, source, _] = k.dims();
    // Each key-value head becomes an entry of the batch, its query heads broadcast over it: so autodiff,
    // whose attention is made of matrix products, repeats nothing either.
    let groups = batch * kv_heads;
    let q = q.reshape([groups, heads / kv_heads, time, head_dim]);
    let k = k.reshape([groups, 1, source, head_dim]);
    let v = v.reshape([groups, 1, source, head_dim]);
    let options = AttentionModuleOptions { is_causal: causal && time > 1, ..Default::default() };
    let attended = module::attention(q, k, v, None, None, options);
    let attended = attended.reshape([batch, heads, time, head_dim]);
    attended.swap_dims(1, 2).reshape([batch, time, heads * head_dim])
}

/// Cosines and sines of the rotary embedding, each (positions, head_dim): those of the pairs, twice over, the
/// first half of the sines negated.
#[derive(Clone)]
pub struct Rotary {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl Rotary {
    /// Position p turns pair j by p · theta^(-2j/head_dim); computed in float64.
    pub fn new(positions: usize, head_dim: usize, theta: f64, device: &Device) -> Self {
        let half = head_dim / 2;
        let angle = |index: usize| {
            let (position, pair) = (index / head_dim, index % head_dim % half);
            position as f64 * theta.powf(-2.0 * pair as f64 / head_dim as f64)
        };
        let sign = |index: usize| if index % head_dim < half { -1.0 } else { 1.0 };
        let table = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..positions * head_dim).map(|index| value(index) as f32).collect();
            Tensor::from_data(TensorData::new(values, [positions, head_dim]), device)
        };
        Self {
            cos: table(&|index| angle(index).cos()),
            sin: table(&|index| sign(index) * angle(index).sin()),
        }
    }

    /// The `count` positions from `start`.
    pub fn narrow(&self, start: usize, count: usize) -> Self {
        Self { cos: self.cos.clone().narrow(0, start, count), sin: self.sin.clone().narrow(0, start, count) }
    }

    /// Turn the pairs (x[j], x[j + head_dim/2]) of `x` (batch, heads, time, head_dim): half-split, where
    /// Burn's own `RotaryEncoding` turns neighbours.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let swapped = Tensor::cat(vec![x.clone().narrow(3, half, half), x.clone().narrow(3, 0, half)], 3);
        x * self.cos.clone().unsqueeze::<4>() + swapped * self.sin.clone().unsqueeze::<4>()
    }
}

/// down(silu(gate(x)) · up(x)), without biases.
pub struct SwiGlu {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl SwiGlu {
    pub fn new(weights: &Weights, size: usize, inner: usize) -> Result<Self> {
        Ok(Self {
            gate: Linear::new(&weights.at("gate_proj"), size, inner, false)?,
            up: Linear::new(&weights.at("up_proj"), size, inner, false)?,
            down: Linear::new(&weights.at("down_proj"), inner, size, false)?,
        })
    }

    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = activation::silu(self.gate.forward(x.clone()));
        self.down.forward(gate * self.up.forward(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::tests::{assert_close, waves};
    use crate::weights::{get, to_host};

    /// Queries of six heads, keys and values of two.
    fn grouped() -> Result<[Tensor<4>; 3]> {
        let tensors = waves(&[("q", &[2, 6, 5, 8]), ("k", &[2, 2, 7, 8]), ("v", &[2, 2, 7, 8])]);
        Ok([get(&tensors, "q")?, get(&tensors, "k")?, get(&tensors, "v")?])
    }

    #[test]
    fn query_heads_share_their_groups_keys() -> Result<()> {
        let [q, k, v] = grouped()?;
        // Head h of k serves the query heads 3h, 3h + 1 and 3h + 2.
        let repeat = |x: &Tensor<4>| {
            let heads = (0..6).map(|head| x.clone().narrow(1, head / 3, 1)).collect();
            Tensor::cat(heads, 1)
        };
        for causal in [false, true] {
            let options = AttentionModuleOptions { is_causal: causal, ..Default::default() };
            let plain = module::attention(q.clone(), repeat(&k), repeat(&v), None, None, options);
            let plain = plain.swap_dims(1, 2).reshape([2, 5, 48]);
            assert_close(attention(q.clone(), k.clone(), v.clone(), causal), plain, 1e-6);
        }
        Ok(())
    }

    #[test]
    fn attention_in_training_agrees_with_inference() -> Result<()> {
        let [q, k, v] = grouped()?;
        for causal in [false, true] {
            let tracked = attention(q.clone().autodiff().require_grad(), k.clone(), v.clone(), causal);
            assert!(tracked.is_tracked());
            assert_close(tracked, attention(q.clone(), k.clone(), v.clone(), causal), 1e-6);
        }
        Ok(())
    }

    #[test]
    fn rotation_turns_the_halves_of_a_head() -> Result<()> {
        let x: Tensor<4> = Tensor::from_data([[[[1.0, 2.0, 3.0, 4.0]; 3]]], &Device::flex());
        let turned = Rotary::new(3, 4, 100.0, &x.device()).rotate(x);
        for (position, row) in to_host(turned)?.data.chunks_exact(4).enumerate() {
            // Frequencies 100^0 and 100^(-2/4).
            let ((sin, cos), (fine_sin, fine_cos)) =
                ((position as f32).sin_cos(), (0.1 * position as f32).sin_cos());
            let expected = [
                cos - 3.0 * sin,
                2.0 * fine_cos - 4.0 * fine_sin,
                3.0 * cos + sin,
                4.0 * fine_cos + 2.0 * fine_sin,
            ];
            for (found, expected) in row.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "position {position}: {row:?}");
            }
        }
        Ok(())
    }
}
