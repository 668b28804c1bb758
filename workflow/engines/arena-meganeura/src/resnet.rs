//! ResNet v1.5 as in torchvision: a bottleneck strides in its 3×3 convolution.

use arena::Result;
use arena::architecture::ResNet as Config;
use meganeura::graph::NodeId;

use crate::images::Image;
use crate::network::{Form, Network};

/// The input `images` (batch, channels, height, width) to class logits (batch, classes).
pub fn forward(network: &mut Network, config: &Config, shape: [usize; 4]) -> Result<NodeId> {
    let eps = config.batch_norm_eps as f32;
    let images = Image::input(network, "images", shape);
    assert_eq!(images.channels, config.in_channels, "channels of the images");
    let stem = conv_norm(network, images, &("conv1".into(), "bn1".into()), config.width, (7, 2), eps)?;
    let mut x = relu(network, stem);
    x = max_pool(network, x);
    for (stage, &count) in config.layers.iter().enumerate() {
        for index in 0..count {
            let stride = if index == 0 && stage > 0 { 2 } else { 1 };
            let name = format!("layer{}.{index}", stage + 1);
            x = bottleneck(network, config, x, &name, (stage, stride))?;
        }
    }
    let pooled = network.graph.global_avg_pool(x.node, x.batch as u32, x.channels as u32, x.pixels() as u32);
    let logits = network.linear(pooled, "fc", config.num_classes)?;
    network.add_bias(logits, "fc")
}

fn bottleneck(
    network: &mut Network,
    config: &Config,
    x: Image,
    name: &str,
    (stage, stride): (usize, usize),
) -> Result<Image> {
    let (inner, leaving) = (config.inner_width(stage), config.outer_width(stage));
    let eps = config.batch_norm_eps as f32;
    let names = |number: usize| (format!("{name}.conv{number}"), format!("{name}.bn{number}"));
    let h = conv_norm(network, x, &names(1), inner, (1, 1), eps)?;
    let h = relu(network, h);
    let h = conv_norm(network, h, &names(2), inner, (3, stride), eps)?;
    let h = relu(network, h);
    let h = conv_norm(network, h, &names(3), leaving, (1, 1), eps)?;
    let shortcut = if x.channels == leaving && stride == 1 {
        x
    } else {
        let names = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
        conv_norm(network, x, &names, leaving, (1, stride), eps)?
    };
    let sum = network.sum(h, shortcut);
    Ok(relu(network, sum))
}

/// A convolution and batch normalisation with its running statistics.
///
/// For inference the normalisation is folded into the convolution on the host: so does Meganeura's own ResNet.
/// In training the graph does the folding, because the weight and bias of the normalisation have gradients.
fn conv_norm(
    network: &mut Network,
    x: Image,
    (conv, norm): &(String, String),
    channels: usize,
    (kernel, stride): (usize, usize),
    eps: f32,
) -> Result<Image> {
    let shape = [channels, x.channels, kernel, kernel];
    let size: usize = shape.iter().product();
    let weight = format!("{conv}.weight");
    let variance = &network.tensor(&format!("{norm}.running_var"), &[channels])?.data;
    let mean = &network.tensor(&format!("{norm}.running_mean"), &[channels])?.data;
    let inverse: Vec<f32> = variance.iter().map(|variance| (variance + eps).sqrt().recip()).collect();
    if network.form == Form::Inference {
        let gain = &network.tensor(&format!("{norm}.weight"), &[channels])?.data;
        let bias = &network.tensor(&format!("{norm}.bias"), &[channels])?.data;
        let kernels = &network.tensor(&weight, &shape)?.data;
        let scale: Vec<f32> = gain.iter().zip(&inverse).map(|(gain, inverse)| gain * inverse).collect();
        let shift: Vec<f32> = (0..channels).map(|index| bias[index] - mean[index] * scale[index]).collect();
        let rows = kernels.chunks_exact(size / channels).zip(&scale);
        let folded = rows.flat_map(|(row, scale)| row.iter().map(move |value| value * scale)).collect();
        let folded = network.computed(&weight, folded, &[size]);
        let y = network.convolve(x, folded, channels, kernel, stride);
        let shift = network.computed(&format!("{norm}.shift"), shift, &[channels]);
        return Ok(shifted(network, y, shift));
    }
    let gain = network.parameter(&format!("{norm}.weight"), &[channels], &[channels, 1])?;
    let bias = network.parameter(&format!("{norm}.bias"), &[channels], &[channels, 1])?;
    let kernels = network.parameter(&weight, &shape, &[channels, size / channels])?;
    let graph = &mut network.graph;
    let inverse = graph.constant(inverse, &[channels, 1]);
    let mean = graph.constant(mean.iter().map(|mean| -mean).collect(), &[channels, 1]);
    let scale = graph.mul(gain, inverse);
    let moved = graph.mul(scale, mean);
    let shift = graph.add(bias, moved);
    // Products with ones repeat a column or a row.
    let row = network.filled(1.0, &[1, size / channels]);
    let scale = network.graph.matmul(scale, row);
    let folded = network.graph.mul(kernels, scale);
    let folded = network.graph.reshape(folded, &[size]);
    let y = network.convolve(x, folded, channels, kernel, stride);
    let shift = network.graph.reshape(shift, &[channels]);
    Ok(shifted(network, y, shift))
}

/// `x` plus a value for each channel, `shift` (channels).
fn shifted(network: &mut Network, x: Image, shift: NodeId) -> Image {
    let (channels, pixels) = (x.channels as u32, x.pixels() as u32);
    Image { node: network.graph.add_per_channel(x.node, shift, channels, pixels), ..x }
}

fn relu(network: &mut Network, x: Image) -> Image {
    Image { node: network.graph.relu(x.node), ..x }
}

/// Max-pooling of non-negative `x`, kernel 3, stride 2, padding 1.
///
/// In training written as the maximum of products that select columns, then rows, because the backward pass of
/// `MaxPool2d` spreads a gradient evenly. The zeros of the padding never win over what a ReLU has left.
fn max_pool(network: &mut Network, x: Image) -> Image {
    let (height, width) = (x.height.div_ceil(2), x.width.div_ceil(2));
    if network.form == Form::Inference {
        let [batch, channels, rows, columns] = x.shape().map(|size| size as u32);
        let node = network.graph.max_pool_2d(x.node, batch, channels, rows, columns, 3, 3, 2, 1);
        return Image { node, height, width, ..x };
    }
    let planes = x.batch * x.channels;
    let node = network.graph.reshape(x.node, &[planes * x.height, x.width]);
    let columns = pool_columns(network, node, x.width, width);
    // (planes · height, width) to (width · planes, height), whose columns are the image's rows.
    let turned = network.graph.transpose(columns);
    let turned = network.graph.reshape(turned, &[width * planes, x.height]);
    let pooled = pool_columns(network, turned, x.height, height);
    let pooled = network.graph.reshape(pooled, &[width, planes * height]);
    let pooled = network.graph.transpose(pooled);
    let node = network.graph.reshape(pooled, &[planes * height * width]);
    Image { node, height, width, ..x }
}

/// The maxima of the columns 2j - 1, 2j and 2j + 1 of `x` (rows, `entering`), for each j < `leaving`.
fn pool_columns(network: &mut Network, x: NodeId, entering: usize, leaving: usize) -> NodeId {
    let mut views = (0..3).map(|offset| {
        let mut selection = vec![0.0; entering * leaving];
        for column in 0..leaving {
            let source = (2 * column + offset).wrapping_sub(1);
            if source < entering {
                selection[source * leaving + column] = 1.0;
            }
        }
        let selection = network.graph.constant(selection, &[entering, leaving]);
        network.graph.matmul(x, selection)
    });
    let [first, second, third] = std::array::from_fn(|_| views.next().expect("three views"));
    drop(views);
    let larger = maximum(network, first, second);
    maximum(network, larger, third)
}

/// max(a, b) as a + relu(b - a): Meganeura has no maximum.
fn maximum(network: &mut Network, a: NodeId, b: NodeId) -> NodeId {
    let graph = &mut network.graph;
    let negative = graph.neg(a);
    let difference = graph.add(b, negative);
    let excess = graph.relu(difference);
    graph.add(a, excess)
}
