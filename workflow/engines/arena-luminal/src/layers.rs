//! Layers that several models share. Activations are matrices, one row for each position.
//!
//! What Luminal has as an operator on tensors is used as it is, but for what needs a size in the type.

use std::f32::consts::FRAC_1_SQRT_2;

use arena::Result;
use luminal::prelude::symbolic::Expression;
use luminal::prelude::{Axes2, Axis, GraphTensor, Matmul};

use crate::program::{Builder, Matrix, Rank3, Size, Vector, broadcast, reshape, size, sized};

/// x (rows, in) times the transpose of the weight of that name (out, in).
pub fn linear(cx: &mut Builder, name: &str, x: Matrix, out: usize) -> Result<Matrix> {
    let weight: Matrix = cx.weight(name, &[out, size(x, 1)])?;
    Ok(project(x, weight))
}

/// x (rows, in) times the transpose of `weight` (out, in).
pub fn project(x: Matrix, weight: Matrix) -> Matrix {
    product(x, weight.permute::<_, Axes2<1, 0>>())
}

/// The matrix product of `a` and `b`.
///
/// Written as that of a batch of one with a matrix, because Luminal 0.2 compiles only this to a matrix
/// multiplication: its pattern for two matrices looks for a sum over the first axis instead of the last.
pub fn product(a: Matrix, b: Matrix) -> Matrix {
    let batch: GraphTensor<Rank3> = reshape(a, &[1, size(a, 0), size(a, 1)]);
    reshape(batch.matmul(b), &[size(a, 0), size(b, 1)])
}

/// x (rows, in) times the transpose of `prefix.weight` (out, in), plus `prefix.bias`.
pub fn biased(cx: &mut Builder, prefix: &str, x: Matrix, out: usize) -> Result<Matrix> {
    let x = linear(cx, &format!("{prefix}.weight"), x, out)?;
    add_bias(cx, &format!("{prefix}.bias"), x)
}

/// The vector of that name added to every row of `x`.
pub fn add_bias(cx: &mut Builder, name: &str, x: Matrix) -> Result<Matrix> {
    let bias: Vector = cx.weight(name, &[size(x, 1)])?;
    Ok(x + bias.expand::<_, Axis<0>>())
}

/// Layer normalisation over the columns.
pub fn layer_norm(cx: &mut Builder, prefix: &str, x: Matrix, eps: f32) -> Result<Matrix> {
    let weight: Vector = cx.weight(&format!("{prefix}.weight"), &[size(x, 1)])?;
    let mean: Vector = x.mean_reduce::<_, Axis<1>>();
    let normed = (x + (-mean).expand::<_, Axis<1>>()).std_norm::<1, _>(eps);
    add_bias(cx, &format!("{prefix}.bias"), normed * weight.expand::<_, Axis<0>>())
}

/// x / √(mean(x²) + eps) · weight over the columns.
pub fn rms_norm(cx: &mut Builder, name: &str, x: Matrix, eps: f32) -> Result<Matrix> {
    let weight: Vector = cx.weight(name, &[size(x, 1)])?;
    Ok(x.std_norm::<1, _>(eps) * weight.expand::<_, Axis<0>>())
}

/// down(silu(gate(x)) · up(x)), without biases.
pub fn swiglu(cx: &mut Builder, prefix: &str, x: Matrix, inner: usize) -> Result<Matrix> {
    let gate = linear(cx, &format!("{prefix}.gate_proj.weight"), x, inner)?;
    let up = linear(cx, &format!("{prefix}.up_proj.weight"), x, inner)?;
    linear(cx, &format!("{prefix}.down_proj.weight"), gate.swish() * up, size(x, 1))
}

/// Softmax over the columns. Luminal's own needs their number in the type.
pub fn softmax(x: Matrix) -> Matrix {
    let highest = x.max_reduce::<_, Axis<1>>();
    let powers = (x + (-highest).expand::<_, Axis<1>>()).exp();
    powers * powers.sum_reduce::<_, Axis<1>>().recip().expand::<_, Axis<1>>()
}

/// The columns of `a`, then those of `b`.
pub fn concat(a: Matrix, b: Matrix) -> Matrix {
    let joined = a.concat_along::<(Size, Size), Axis<1>, _>(b);
    sized(joined, &[size(a, 0), size(a, 1) + size(b, 1)])
}

/// Columns `start..end` of `x`.
pub fn columns(x: Matrix, start: usize, end: usize) -> Matrix {
    x.slice((.., Expression::from(start)..Expression::from(end))).contiguous()
}

/// Rows `start..end` of `x`.
pub fn rows(x: Matrix, start: usize, end: usize) -> Matrix {
    x.slice((Expression::from(start)..Expression::from(end), ..)).contiguous()
}

/// Rows of the table (entries, width) at `ids` (count): [`GraphTensor::gather`] for sizes that only the
/// graph knows. The compiler replaces this pattern, a sum of rows times a one-hot mask, by a look-up; not if
/// the rows are an output of the graph, which [`Builder::finish`] refuses.
pub fn gather(table: Matrix, ids: Vector) -> Matrix {
    let one = ids.graph().constant(1.0);
    let ones: Vector = broadcast(one, 0, size(table, 0));
    let numbers = ones.cumsum_last_dim() - 1.0;
    let one_hot = numbers.expand::<(Size, Size), Axis<0>>().equals(ids.expand::<_, Axis<1>>());
    let masked = one_hot.expand::<Rank3, Axis<2>>() * table.expand::<_, Axis<0>>();
    masked.sum_reduce::<_, Axis<1>>()
}

/// x · Φ(x), where Φ is the normal distribution function.
///
/// Luminal has no error function; this is formula 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical
/// Functions (1964), on operators that it has: erf(z) = 1 - p(t) · exp(-z²) with t = 1 / (1 + 0.3275911 · z)
/// for z ≥ 0, at most 1.5e-7 off. With q = p(t) · exp(-z²) / 2, the tail of Φ beyond |x|, the result is
/// (x + |x|) / 2 - |x| · q for both signs.
pub fn gelu(x: Matrix) -> Matrix {
    let squared = x * x;
    let absolute = squared.sqrt();
    let t = (absolute * (0.327_591_1 * FRAC_1_SQRT_2) + 1.0).recip();
    let [first, others @ ..] = [1.061405429_f64, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
    let p = others.into_iter().fold(t * first as f32, |sum, coefficient| (sum + coefficient as f32) * t);
    let tail = p * (squared * -0.5).exp() * 0.5;
    (x + absolute) * 0.5 - absolute * tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::tests::{compiled, computed};
    use crate::weights::Weights;

    #[test]
    fn a_product_is_compiled_to_a_matrix_multiplication() {
        let build = |cx: &mut Builder| {
            let a = cx.input("a", &[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
            let b = cx.input("b", &[2, 3], vec![1.0, 0.0, 1.0, 0.0, 2.0, 0.0])?;
            Ok(project(a, b))
        };
        assert_eq!(computed(build), [4.0, 4.0, 10.0, 10.0]);
        assert!(compiled(build).contains(&"BatchedMatMul2D".to_string()));
    }

    #[test]
    fn gather_looks_rows_up_in_any_order() {
        let build = |cx: &mut Builder| {
            let table = cx.input("table", &[4, 2], vec![0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 30.0, 31.0])?;
            Ok(gather(table, cx.input("ids", &[3], vec![3.0, 0.0, 3.0])?) * 2.0)
        };
        assert_eq!(computed(build), [60.0, 62.0, 0.0, 2.0, 60.0, 62.0]);
        assert!(compiled(build).iter().any(|name| name.starts_with("Gather")));
    }

    #[test]
    fn a_gather_that_is_not_compiled_to_a_look_up_is_refused() {
        let weights = Weights::default();
        let mut cx = Builder::new(&weights);
        let table = cx.input("table", &[2, 2], vec![0.0; 4]).unwrap();
        let ids = cx.input("ids", &[1], vec![1.0]).unwrap();
        assert!(cx.finish(vec![gather(table, ids)]).is_err());
    }

    #[test]
    fn softmax_gives_nothing_to_what_is_masked() {
        let shares = computed(|cx| {
            let masked = f32::NEG_INFINITY;
            Ok(softmax(cx.input("x", &[2, 3], vec![0.0, masked, 0.0, 100.0, 101.0, masked])?))
        });
        let expected = [0.5, 0.0, 0.5, 0.268_941_43, 0.731_058_6, 0.0];
        assert!(shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{shares:?}");
    }

    #[test]
    fn concatenation_and_columns_are_inverse() {
        let columns_of = |start, end| {
            computed(move |cx| {
                let a = cx.input("a", &[2, 2], vec![1.0, 2.0, 5.0, 6.0])?;
                let b = cx.input("b", &[2, 1], vec![3.0, 7.0])?;
                Ok(columns(concat(a, b), start, end))
            })
        };
        assert_eq!(columns_of(0, 3), [1.0, 2.0, 3.0, 5.0, 6.0, 7.0]);
        assert_eq!(columns_of(1, 3), [2.0, 3.0, 6.0, 7.0]);
    }

    #[test]
    fn gelu_agrees_with_tables_of_the_normal_distribution() {
        let found = computed(|cx| Ok(gelu(cx.input("x", &[1, 5], vec![-3.0, -1.0, 0.0, 1.0, 3.0])?)));
        let expected = [-0.004_049_694, -0.158_655_25, 0.0, 0.841_344_8, 2.995_950_3];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }
}
