//! Attention, written on matrix products: a few for each head.
//!
//! Meganeura's own attention kernels are not used. They give one lane to every element of a head and have 64
//! lanes, whatever the head; and between reading a tile's scores and writing the next tile's they lack a
//! barrier, so that lanes that come late (on lavapipe all but the first few) read wrong ones.

use arena::Result;
use meganeura::graph::NodeId;

use crate::network::{Form, Network};

/// Rotary positions, half-split within each head: row t is turned as position t, or t + `offset`.
pub struct Rotary {
    pub theta: f32,
    /// An input of one unsigned integer.
    pub offset: Option<NodeId>,
}

/// The shape of an attention layer; several query heads may share one key-value head.
pub struct Attention {
    /// Of what the layer reads and of what it is added to.
    pub width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// The name of the output projection; the others are `q_proj`, `k_proj` and `v_proj`.
    pub output: &'static str,
    /// Whether all projections but that of the keys have a bias.
    pub biases: bool,
    pub rotary: Option<Rotary>,
    /// Added to the scores (time, length).
    pub mask: Option<NodeId>,
}

impl Attention {
    /// `x` (time, width) plus what the queries of `normed` (time, width) find in `source` (length, width).
    ///
    /// `keep` is given the keys and values (length, head_dim) of each key-value head, and says which ones to
    /// attend to: these, or those of a cache.
    pub fn add(
        &self,
        network: &mut Network,
        x: NodeId,
        (normed, source): (NodeId, NodeId),
        name: &str,
        mut keep: impl FnMut(&mut Network, usize, (NodeId, NodeId)) -> (NodeId, NodeId),
    ) -> Result<NodeId> {
        let queries = self.heads * self.head_dim;
        let keys = self.kv_heads * self.head_dim;
        let rows = |head: usize| head * self.head_dim..(head + 1) * self.head_dim;
        let mut pairs = Vec::new();
        for head in 0..self.kv_heads {
            let k =
                network.rows_of_linear(source, &format!("{name}.k_proj"), keys, rows(head), 1.0, false)?;
            let k = self.rotate(network, k);
            let v = network.rows_of_linear(
                source,
                &format!("{name}.v_proj"),
                keys,
                rows(head),
                1.0,
                self.biases,
            )?;
            pairs.push(keep(network, head, (k, v)));
        }
        let (query, output) = (format!("{name}.q_proj"), format!("{name}.{}", self.output));
        let scale = (self.head_dim as f32).powf(-0.5);
        let mut x = x;
        for head in 0..self.heads {
            let q = network.rows_of_linear(normed, &query, queries, rows(head), scale, self.biases)?;
            let q = self.rotate(network, q);
            let attended = attend(network, q, pairs[head * self.kv_heads / self.heads], self.mask);
            // A sum over heads instead of one product of all of them, joined: each is fused with its addition.
            let projected =
                network.columns_of_linear(attended, &output, (self.width, queries), rows(head))?;
            x = network.graph.add(x, projected);
        }
        if self.biases { network.add_bias(x, &output) } else { Ok(x) }
    }

    fn rotate(&self, network: &mut Network, x: NodeId) -> NodeId {
        let head_dim = self.head_dim as u32;
        match &self.rotary {
            None => x,
            Some(Rotary { theta, offset: None }) => network.graph.rope(x, *theta, head_dim),
            Some(Rotary { theta, offset: Some(offset) }) => {
                network.graph.rope_dynamic_offset(x, *theta, *offset, head_dim)
            }
        }
    }
}

/// softmax(q kᵀ + mask) v, for one head; `q` is (time, head_dim), `k` and `v` are (length, head_dim).
fn attend(network: &mut Network, q: NodeId, (k, v): (NodeId, NodeId), mask: Option<NodeId>) -> NodeId {
    let mut scores = network.graph.matmul_bt(q, k);
    if let Some(mask) = mask {
        scores = network.graph.add(scores, mask);
    }
    if network.form == Form::Inference {
        let weights = network.graph.softmax(scores);
        return network.graph.matmul(weights, v);
    }
    // The backward pass of Meganeura's Softmax sums over the wrong dimension. This one subtracts no maximum:
    // it overflows beyond scores of 88.
    let length = network.shape(scores)[1];
    let head_dim = network.shape(v)[1];
    let weights = network.exp(scores);
    let (column, row) = (network.filled(1.0, &[length, 1]), network.filled(1.0, &[1, head_dim]));
    let sums = network.graph.matmul(weights, column);
    let inverse = network.graph.recip(sums);
    let inverse = network.graph.matmul(inverse, row);
    let attended = network.graph.matmul(weights, v);
    network.graph.mul(attended, inverse)
}
