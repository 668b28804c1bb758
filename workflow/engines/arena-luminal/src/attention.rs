//! Multi-head attention, with or without grouped queries, rotary positions and a KV cache.

use arena::Result;
use luminal::prelude::NodeIndex;

use crate::layers::{add_bias, columns, concat, linear, product, project, softmax};
use crate::program::{Builder, Matrix, reshape, size};
use crate::weights::Weights;

/// Scaled dot-product attention in which each of `kv` key-value heads serves `groups` query heads.
///
/// A key-value head has pieces of the weights of its own (see [`Heads::split`]). Its query heads are more
/// rows of one matrix: row t · groups + g is head g at position t.
#[derive(Clone, Copy)]
pub struct Heads {
    pub kv: usize,
    pub groups: usize,
    pub dim: usize,
    /// The name of the last projection.
    pub out: &'static str,
    /// Whether all projections but that of the keys have a bias.
    pub biased: bool,
}

impl Heads {
    /// Cut the four projections under `prefix` into the pieces of the key-value heads.
    pub fn split(&self, weights: &mut Weights, prefix: &str) -> Result<()> {
        for (name, axis) in [("q_proj", 0), ("k_proj", 0), ("v_proj", 0), (self.out, 1)] {
            weights.split(&format!("{prefix}.{name}.weight"), axis, self.kv)?;
        }
        if self.biased {
            weights.split(&format!("{prefix}.q_proj.bias"), 0, self.kv)?;
            weights.split(&format!("{prefix}.v_proj.bias"), 0, self.kv)?;
        }
        Ok(())
    }
}

/// 0 where a query's row may see a key, -∞ elsewhere: (time · groups, time). None where all see all.
pub fn causal_mask(cx: &mut Builder, heads: Heads, time: usize) -> Result<Option<Matrix>> {
    if time == 1 {
        return Ok(None);
    }
    let rows = time * heads.groups;
    let bias = |row: usize, key: usize| if key <= row / heads.groups { 0.0 } else { f32::NEG_INFINITY };
    let values = (0..rows).flat_map(|row| (0..time).map(move |key| bias(row, key)));
    cx.input("mask", &[rows, time], values.collect()).map(Some)
}

/// Rotary positions: the pairs (x[j], x[j + dim/2]) turned by their position's angles.
pub struct Rotary {
    /// Makes (-x[j + dim/2], x[j]) of (x[j], x[j + dim/2]) as a matrix product.
    pub turn: Matrix,
    /// Cosines and sines for the rows of the queries, and for those of the keys.
    pub queries: [Matrix; 2],
    pub keys: [Matrix; 2],
}

impl Rotary {
    /// x (rows, dim) turned by the angles whose cosines and sines are given, (rows, dim) each.
    pub fn rotate(&self, x: Matrix, [cos, sin]: [Matrix; 2]) -> Matrix {
        x * cos + product(x, self.turn) * sin
    }
}

/// Keys and values of earlier positions: inputs of the graph, as is the mask of the ones not yet filled.
pub struct Past {
    pub length: usize,
    /// 0 or -∞; (rows of the queries, length).
    pub mask: Matrix,
    /// Where keys and values, each (length, dim), go, for each layer and key-value head.
    pub nodes: Vec<NodeIndex>,
}

/// What the attention of a layer depends on besides its weights.
pub struct Attention<'a> {
    pub heads: Heads,
    pub rotary: Option<&'a Rotary>,
    /// 0 where a query may see a key, -∞ elsewhere; (rows of the queries, positions of the source).
    pub mask: Option<Matrix>,
    pub past: Option<&'a mut Past>,
    /// Collects the keys and values that were computed, as [`Past`] takes them.
    pub computed: Vec<Matrix>,
}

impl Attention<'_> {
    /// Without positions, mask or past.
    pub fn new(heads: Heads) -> Self {
        Self { heads, rotary: None, mask: None, past: None, computed: Vec::new() }
    }

    /// From `x` (time, width) to `source` (positions, width); the result is (time, width).
    pub fn forward(&mut self, cx: &mut Builder, prefix: &str, x: Matrix, source: Matrix) -> Result<Matrix> {
        let Heads { kv, groups, dim, out, biased } = self.heads;
        let (time, width) = (size(x, 0), size(x, 1));
        let mut sum: Option<Matrix> = None;
        for head in 0..kv {
            let mut part = |name: &str, x: Matrix, count: usize, bias: bool| {
                let y = linear(cx, &format!("{prefix}.{name}.weight.{head}"), x, count)?;
                if bias { add_bias(cx, &format!("{prefix}.{name}.bias.{head}"), y) } else { Ok(y) }
            };
            let q = part("q_proj", x, groups * dim, biased)?;
            let mut k = part("k_proj", source, dim, false)?;
            let v = part("v_proj", source, dim, biased)?;
            let mut q: Matrix = reshape(q, &[time * groups, dim]);
            if let Some(rotary) = self.rotary {
                q = rotary.rotate(q, rotary.queries);
                k = rotary.rotate(k, rotary.keys);
            }
            let seen = self.attend(cx, q * (dim as f32).powf(-0.5), k, v)?;
            let seen = reshape(seen, &[time, groups * dim]);
            let part = linear(cx, &format!("{prefix}.{out}.weight.{head}"), seen, width)?;
            sum = Some(sum.map_or(part, |sum| sum + part));
        }
        let sum = sum.expect("at least one head");
        if biased { add_bias(cx, &format!("{prefix}.{out}.bias"), sum) } else { Ok(sum) }
    }

    /// The values that the queries' rows see, weighted by the softmax of queries times keys.
    fn attend(&mut self, cx: &mut Builder, q: Matrix, k: Matrix, v: Matrix) -> Result<Matrix> {
        self.computed.extend([k, v]);
        let mut scores = project(q, k);
        if let Some(mask) = self.mask {
            scores += mask;
        }
        let Some(past) = &mut self.past else { return Ok(product(softmax(scores), v)) };
        let (length, sizes) = (past.length, [past.length, self.heads.dim]);
        let keys: Matrix = cx.input("keys", &sizes, vec![0.0; length * self.heads.dim])?;
        let values: Matrix = cx.input("values", &sizes, vec![0.0; length * self.heads.dim])?;
        past.nodes.extend([keys.id, values.id]);
        let shares = softmax(concat(project(q, keys) + past.mask, scores));
        let (old, new) = (columns(shares, 0, length), columns(shares, length, size(shares, 1)));
        Ok(product(old, values) + product(new, v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::tests::numbers;
    use crate::program::tests::computed_on;
    use crate::weights::floats;

    const HEADS: Heads = Heads { kv: 2, groups: 3, dim: 2, out: "o_proj", biased: false };
    const WIDTH: usize = 5;
    const TIME: usize = 4;
    const QUERIES: usize = 12;
    const KEYS: usize = 4;

    /// The projections in one piece each.
    fn whole() -> [(&'static str, Vec<usize>, Vec<f32>); 4] {
        let projection = |name, rows, columns| (name, vec![rows, columns], numbers(rows * columns));
        [
            projection("a.q_proj.weight", QUERIES, WIDTH),
            projection("a.k_proj.weight", KEYS, WIDTH),
            projection("a.v_proj.weight", KEYS, WIDTH),
            projection("a.o_proj.weight", WIDTH, QUERIES),
        ]
    }

    fn weights() -> Weights {
        let mut weights = Weights::from(whole());
        HEADS.split(&mut weights, "a").unwrap();
        weights
    }

    /// a (rows, n) times the transpose of b (columns, n).
    fn times(a: &[f32], b: &[f32], n: usize) -> Vec<f32> {
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum();
        a.chunks(n).flat_map(|row| b.chunks(n).map(move |column| dot(row, column))).collect()
    }

    /// The definition of causal attention, head by head.
    fn expected(x: &[f32]) -> Vec<f32> {
        let [q, k, v] = [0, 1, 2].map(|index| times(x, &whole()[index].2, WIDTH));
        let mut seen = vec![0.0; TIME * QUERIES];
        for (t, head) in (0..TIME).flat_map(|t| (0..QUERIES / HEADS.dim).map(move |head| (t, head))) {
            let query = &q[t * QUERIES + head * HEADS.dim..][..HEADS.dim];
            let at = |s: usize| s * KEYS + head / HEADS.groups * HEADS.dim;
            let score = |s: usize| times(query, &k[at(s)..][..HEADS.dim], HEADS.dim)[0] / 2f32.sqrt();
            let powers: Vec<f32> = (0..=t).map(|s| score(s).exp()).collect();
            for (s, power) in powers.iter().enumerate() {
                for j in 0..HEADS.dim {
                    seen[t * QUERIES + head * HEADS.dim + j] +=
                        power / powers.iter().sum::<f32>() * v[at(s) + j];
                }
            }
        }
        times(&seen, &whole()[3].2, QUERIES)
    }

    fn close(found: &[f32], expected: &[f32]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn queries_share_keys_and_see_what_is_before_them() {
        let x = numbers(TIME * WIDTH);
        let found = computed_on(&mut weights(), |cx| {
            let x = cx.input("x", &[TIME, WIDTH], x.clone())?;
            let mask = causal_mask(cx, HEADS, TIME)?;
            Attention { mask, ..Attention::new(HEADS) }.forward(cx, "a", x, x)
        });
        assert!(close(&found, &expected(&x)), "{found:?}");
    }

    #[test]
    fn a_step_that_sees_the_past_computes_the_last_row() {
        let (x, mut weights) = (numbers(TIME * WIDTH), weights());
        let (before, last) = x.split_at((TIME - 1) * WIDTH);
        let mut cx = Builder::new(&weights);
        let input: Matrix = cx.input("x", &[TIME - 1, WIDTH], before.to_vec()).unwrap();
        let mut attention = Attention::new(HEADS);
        attention.forward(&mut cx, "a", input, input).unwrap();
        let mut prompt = cx.finish(attention.computed).unwrap();
        prompt.attach(&mut weights).unwrap();
        prompt.run();
        prompt.detach(&mut weights);

        let mut cx = Builder::new(&weights);
        let input: Matrix = cx.input("x", &[1, WIDTH], last.to_vec()).unwrap();
        // Room for one position more than there is.
        let row = [0.0, 0.0, 0.0, f32::NEG_INFINITY];
        let mask = cx.input("mask", &[HEADS.groups, TIME], row.repeat(HEADS.groups)).unwrap();
        let mut past = Past { length: TIME, mask, nodes: Vec::new() };
        let mut attention = Attention { past: Some(&mut past), ..Attention::new(HEADS) };
        let output = attention.forward(&mut cx, "a", input, input).unwrap();
        let mut step = cx.finish(vec![output]).unwrap();
        for (index, node) in past.nodes.iter().enumerate() {
            step.set(*node, 0, floats(&prompt.output(index).unwrap()).unwrap()).unwrap();
        }
        step.attach(&mut weights).unwrap();
        step.run();
        let found = step.output(0).unwrap();
        assert!(close(floats(&found).unwrap(), &expected(&x)[(TIME - 1) * WIDTH..]), "{found:?}");
    }
}
