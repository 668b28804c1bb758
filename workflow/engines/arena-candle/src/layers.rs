//! Layers that several models share, in two forms: fused operators for inference, and operators that have
//! a backward pass for training (Candle's `softmax_last_dim`, `rms_norm`, `layer_norm`, `rope_thd`,
//! `flash_attn` and `upsample_nearest2d` have none, or a wrong one).

use candle_core::{D, Device, Module, Result, Tensor};
use candle_nn::attention::{AttnMask, flash_attn};
use candle_nn::{Linear, VarBuilder, ops, rotary_emb};

/// Which form of the operators a model is built with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Inference,
    Training,
}

/// A linear layer of `x` (…, in) with weight (out, in), with a bias if `bias`.
pub fn linear(vb: &VarBuilder, entering: usize, leaving: usize, bias: bool) -> Result<Linear> {
    let bias = if bias { Some(vb.get(leaving, "bias")?) } else { None };
    Ok(Linear::new(vb.get((leaving, entering), "weight")?, bias))
}

/// x / √(mean(x²) + eps) · weight over the last dimension.
pub struct RmsNorm {
    weight: Tensor,
    eps: f32,
    form: Form,
}

impl RmsNorm {
    pub fn new(vb: &VarBuilder, size: usize, eps: f64, form: Form) -> Result<Self> {
        Ok(Self { weight: vb.get(size, "weight")?, eps: eps as f32, form })
    }
}

impl Module for RmsNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.form {
            Form::Inference => ops::rms_norm(&x.contiguous()?, &self.weight, self.eps),
            Form::Training => ops::rms_norm_slow(x, &self.weight, self.eps),
        }
    }
}

/// Layer normalisation over the last dimension.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f32,
    form: Form,
}

impl LayerNorm {
    pub fn new(vb: &VarBuilder, size: usize, eps: f64, form: Form) -> Result<Self> {
        Ok(Self { weight: vb.get(size, "weight")?, bias: vb.get(size, "bias")?, eps: eps as f32, form })
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.form {
            Form::Inference => ops::layer_norm(&x.contiguous()?, &self.weight, &self.bias, self.eps),
            Form::Training => ops::layer_norm_slow(x, &self.weight, &self.bias, self.eps),
        }
    }
}

/// (batch, time, heads · head_dim) to (batch, time, heads, head_dim).
pub fn split_heads(x: &Tensor, head_dim: usize) -> Result<Tensor> {
    let (batch, time, width) = x.dims3()?;
    x.reshape((batch, time, width / head_dim, head_dim))
}

/// Scaled dot-product attention, several query heads sharing one key-value head.
///
/// `q` is (batch, time, heads, head_dim), `k` and `v` are (batch, source, kv_heads, head_dim); the result is
/// (batch, time, heads · head_dim). If `causal`, query t sees the keys up to `source - time + t`.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, causal: bool, form: Form) -> Result<Tensor> {
    let (batch, time, heads, head_dim) = q.dims4()?;
    let (source, kv_heads) = (k.dim(1)?, k.dim(2)?);
    let scale = (head_dim as f64).powf(-0.5);
    if form == Form::Inference && q.device().is_cpu() {
        let mask = if causal { AttnMask::causal_with_offset(source - time) } else { AttnMask::None };
        let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
        let attended = flash_attn::<f32>(&q, &k, &v, scale as f32, mask, None, None)?;
        return attended.transpose(1, 2)?.reshape((batch, time, heads * head_dim));
    }
    // The query heads of a group become more rows of its one key-value head: nothing is repeated.
    let groups = heads / kv_heads;
    let q = (q.transpose(1, 2)?.contiguous()? * scale)?;
    let q = q.reshape((batch, kv_heads, groups * time, head_dim))?;
    let k = k.transpose(1, 2)?.contiguous()?;
    let v = v.transpose(1, 2)?.contiguous()?;
    let mut scores = q.matmul(&k.t()?)?;
    if causal && time > 1 {
        let mask = causal_mask(time, source, q.device())?;
        let grouped = scores.reshape((batch, kv_heads, groups, time, source))?;
        scores = grouped.broadcast_add(&mask)?.reshape((batch, kv_heads, groups * time, source))?;
    }
    let weights = match form {
        Form::Inference => ops::softmax_last_dim(&scores)?,
        Form::Training => ops::softmax(&scores, D::Minus1)?,
    };
    let attended = weights.matmul(&v)?.reshape((batch, heads, time, head_dim))?;
    attended.transpose(1, 2)?.reshape((batch, time, heads * head_dim))
}

/// 0 where query t may see key s, -∞ elsewhere; (time, source).
fn causal_mask(time: usize, source: usize, device: &Device) -> Result<Tensor> {
    let past = source - time;
    let values: Vec<f32> = (0..time)
        .flat_map(|t| (0..source).map(move |s| if s <= past + t { 0.0 } else { f32::NEG_INFINITY }))
        .collect();
    Tensor::from_vec(values, (time, source), device)
}

/// Turn the pairs (x[j], x[j + head_dim/2]): `x` is (batch, time, heads, head_dim), the tables are
/// (time, head_dim/2).
pub fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor, form: Form) -> Result<Tensor> {
    match form {
        Form::Inference => rotary_emb::rope_thd(&x.contiguous()?, cos, sin),
        Form::Training => rotary_emb::rope_slow(&x.transpose(1, 2)?.contiguous()?, cos, sin)?.transpose(1, 2),
    }
}

/// down(silu(gate(x)) · up(x)), without biases.
pub struct SwiGlu {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl SwiGlu {
    pub fn new(vb: &VarBuilder, size: usize, inner: usize) -> Result<Self> {
        Ok(Self {
            gate: linear(&vb.pp("gate_proj"), size, inner, false)?,
            up: linear(&vb.pp("up_proj"), size, inner, false)?,
            down: linear(&vb.pp("down_proj"), inner, size, false)?,
        })
    }
}

impl Module for SwiGlu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&(self.gate.forward(x)?.silu()? * self.up.forward(x)?)?)
    }
}

/// Twice the height and width of (batch, channels, height, width), each pixel four times.
pub fn upsample(x: &Tensor, form: Form) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    if form == Form::Inference {
        return x.upsample_nearest2d(2 * height, 2 * width);
    }
    let pixels = x.reshape((batch * channels, height, 1, width, 1))?;
    let repeated = pixels.broadcast_as((batch * channels, height, 2, width, 2))?;
    repeated.reshape((batch, channels, 2 * height, 2 * width))
}

/// Max-pooling of non-negative `x`, kernel 3, stride 2, padding 1.
///
/// Written as the maximum of nine strided views, because the gradient of `max_pool2d` needs a kernel as wide
/// as its stride. The zeros of the padding never win over what a ReLU has left.
pub fn max_pool(x: &Tensor, form: Form) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let padded = x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
    if form == Form::Inference {
        return padded.max_pool2d_with_stride(3, 2);
    }
    // Windows start at even rows; row 2i + offset is row i + offset / 2 of the rows of that parity.
    let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
    let padded = padded.pad_with_zeros(2, 0, height % 2)?.pad_with_zeros(3, 0, width % 2)?;
    let pairs = padded.reshape((batch * channels, height.div_ceil(2) + 1, 2, width.div_ceil(2) + 1, 2))?;
    let mut largest: Option<Tensor> = None;
    for row in 0..3 {
        for column in 0..3 {
            let view = pairs.narrow(1, row / 2, rows)?.narrow(2, row % 2, 1)?;
            let view = view.narrow(3, column / 2, columns)?.narrow(4, column % 2, 1)?;
            let view = view.reshape((batch, channels, rows, columns))?;
            largest = Some(match largest {
                Some(other) => other.maximum(&view)?,
                None => view,
            });
        }
    }
    Ok(largest.expect("nine views"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_attention_agree() -> Result<()> {
        let q = Tensor::randn(0f32, 1.0, (1, 5, 6, 8), &Device::Cpu)?;
        let k = Tensor::randn(0f32, 1.0, (1, 7, 2, 8), &Device::Cpu)?;
        let v = Tensor::randn(0f32, 1.0, (1, 7, 2, 8), &Device::Cpu)?;
        for causal in [false, true] {
            let fused = attention(&q, &k, &v, causal, Form::Inference)?;
            let plain = attention(&q, &k, &v, causal, Form::Training)?;
            assert!((fused - plain)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5, "causal: {causal}");
        }
        Ok(())
    }

    #[test]
    fn both_forms_of_pooling_and_upsampling_agree() -> Result<()> {
        for (height, width) in [(8, 6), (7, 5)] {
            let x = Tensor::rand(0f32, 1.0, (2, 3, height, width), &Device::Cpu)?;
            for layer in [max_pool, upsample] {
                let (fused, plain) = (layer(&x, Form::Inference)?, layer(&x, Form::Training)?);
                assert_eq!(fused.flatten_all()?.to_vec1::<f32>()?, plain.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        Ok(())
    }
}
