//! Attention by Meganeura's own kernels; its cache is read on matrix products where they cannot.

use arena::Result;
use meganeura::graph::NodeId;

use crate::network::{Form, Network};

/// Lanes of the kernel that reads a cache: it has one for every element of a head, whatever the head.
const CACHE_LANES: usize = 64;

/// Rotary positions, half-split within each head: row t is turned as position t, or t + `offset`.
#[derive(Clone, Copy)]
pub struct Rotary {
    pub theta: f32,
    /// An input of one unsigned integer.
    pub offset: Option<NodeId>,
}

/// What a query attends to.
#[derive(Clone, Copy)]
pub enum Seen {
    All,
    /// Its own position and those before it.
    Causal,
    /// The one query attends to the rows of a cache up to that of the input `position`; the input `mask`
    /// (1, rows) is 0 there and very negative beyond.
    Cache {
        position: NodeId,
        mask: NodeId,
    },
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
    pub seen: Seen,
}

impl Attention {
    /// `x` (time, width) plus what the queries of `normed` (time, width) find in `source` (length, width).
    ///
    /// `keep` is given the keys and values (length, kv_heads · head_dim), and says which ones to attend to:
    /// these, or those of a cache.
    pub fn add(
        &self,
        network: &mut Network,
        x: NodeId,
        (normed, source): (NodeId, NodeId),
        name: &str,
        keep: impl FnOnce(&mut Network, (NodeId, NodeId)) -> (NodeId, NodeId),
    ) -> Result<NodeId> {
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let q = self.project(network, normed, &format!("{name}.q_proj"), queries, self.biases)?;
        let k = self.project(network, source, &format!("{name}.k_proj"), keys, false)?;
        let v = self.project(network, source, &format!("{name}.v_proj"), keys, self.biases)?;
        let (q, k) = (self.rotate(network, q), self.rotate(network, k));
        let (k, v) = keep(network, (k, v));
        let attended = self.attend(network, q, (k, v));
        let output = format!("{name}.{}", self.output);
        let projected = self.project(network, attended, &output, self.width, self.biases)?;
        Ok(network.graph.add(x, projected))
    }

    fn project(
        &self,
        network: &mut Network,
        x: NodeId,
        name: &str,
        leaving: usize,
        bias: bool,
    ) -> Result<NodeId> {
        let y = network.linear(x, name, leaving)?;
        if bias { network.add_bias(y, name) } else { Ok(y) }
    }

    fn rotate(&self, network: &mut Network, x: NodeId) -> NodeId {
        let head_dim = self.head_dim as u32;
        match self.rotary {
            None => x,
            Some(Rotary { theta, offset: None }) => network.graph.rope(x, theta, head_dim),
            Some(Rotary { theta, offset: Some(offset) }) => {
                network.graph.rope_dynamic_offset(x, theta, offset, head_dim)
            }
        }
    }

    /// softmax(q kᵀ / √head_dim) v for every head: (time, heads · head_dim).
    fn attend(&self, network: &mut Network, q: NodeId, (k, v): (NodeId, NodeId)) -> NodeId {
        let [heads, kv_heads, head_dim] = [self.heads, self.kv_heads, self.head_dim].map(|size| size as u32);
        let same = network.shape(q)[0] == network.shape(k)[0];
        match self.seen {
            Seen::Causal => network.graph.causal_attention(q, k, v, heads, kv_heads, head_dim),
            Seen::All if same => network.graph.full_attention(q, k, v, heads, kv_heads, head_dim),
            // Only the second has a backward pass.
            Seen::All if network.form == Form::Inference => {
                network.graph.cross_attention(q, k, v, heads, kv_heads, head_dim)
            }
            Seen::All => network.graph.multi_head_attn(q, k, v, heads, kv_heads, head_dim, true),
            Seen::Cache { position, .. } if self.head_dim == CACHE_LANES => {
                network.graph.cached_attention(q, k, v, position, heads, kv_heads, head_dim)
            }
            Seen::Cache { mask, .. } => self.attend_to_cache(network, q, (k, v), mask),
        }
    }

    /// The same for the one query `q` (1, heads · head_dim) on matrix products of all heads: each head is a row
    /// of its own, 0 but in the columns of its key-value head.
    fn attend_to_cache(
        &self,
        network: &mut Network,
        q: NodeId,
        (k, v): (NodeId, NodeId),
        mask: NodeId,
    ) -> NodeId {
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let own = |head: usize, column: usize| column / self.head_dim == head;
        let group = self.heads / self.kv_heads;
        let shared = |from: usize, to: usize| {
            from % self.head_dim == to % self.head_dim && from / self.head_dim / group == to / self.head_dim
        };
        let own = network.selection([self.heads, queries], own);
        let shared = network.selection([queries, keys], shared);
        let column = network.filled(1.0, &[self.heads, 1]);
        let row = network.filled(1.0, &[1, self.heads]);
        let scaled = network.scaled(q, (self.head_dim as f32).powf(-0.5));
        let graph = &mut network.graph;
        let repeated = graph.matmul(column, scaled);
        let separate = graph.mul(repeated, own);
        let wide = graph.matmul(separate, shared);
        let scores = graph.matmul_bt(wide, k);
        let masks = graph.matmul(column, mask);
        let scores = graph.add(scores, masks);
        let weights = graph.softmax(scores);
        let found = graph.matmul(weights, v);
        let spread = graph.matmul_bt(found, shared);
        let separate = graph.mul(spread, own);
        graph.matmul(row, separate)
    }
}
