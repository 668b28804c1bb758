"""The PyTorch definitions against independent implementations, in float64, on the same seeded weights."""

import numpy as np
import pytest
import torch
import torchvision
from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig, WhisperForConditionalGeneration
from transformers.models.llama import modeling_llama

import make_inputs
import miniatures
import seed_weights
from arena import tensors
from arena.judging import losses as numpy_losses
from arena.weights import seeded
from frameworks.pytorch.models import generation, losses
from frameworks.pytorch.models.loading import arguments, load

every_model = pytest.mark.parametrize("name", miniatures.MODELS)


class DoubleTorch:
    """``torch`` as Hugging Face's LLaMA sees it in these tests, with float64 for float32.

    Its RMSNorm and its rotary embedding convert to float32 by name, whatever the model's dtype, which
    would leave a float64 model with float32's errors.
    """

    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def upstream_llama(config: dict) -> torch.nn.Module:
    rope = {"rope_type": "default", "rope_theta": config["rope_theta"]}
    architecture = {key: value for key, value in config.items() if key not in ("definition", "rope_theta")}
    return LlamaForCausalLM(
        LlamaConfig(**architecture, rope_parameters=rope, attn_implementation="sdpa", use_cache=False)
    )


def upstream_whisper(config: dict) -> torch.nn.Module:
    architecture = {key: value for key, value in config.items() if key != "definition"}
    special = dict.fromkeys(["pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"], 0)
    module = WhisperForConditionalGeneration(WhisperConfig(**architecture, **special, use_cache=False))
    return module.requires_grad_(True)  # upstream freezes the encoder's positions


def upstream_resnet(config: dict) -> torch.nn.Module:
    block = torchvision.models.resnet.Bottleneck
    return torchvision.models.ResNet(block, config["layers"], num_classes=config["num_classes"])


UPSTREAM = {"llama": upstream_llama, "whisper": upstream_whisper, "resnet": upstream_resnet}


def upstream(model: dict, weights: dict[str, np.ndarray]) -> torch.nn.Module:
    """Another project's module with ``weights``, in float64."""
    module = UPSTREAM[model["definition"]](seed_weights.architecture(model)).double().eval()
    missing, unexpected = module.load_state_dict(
        {name: torch.tensor(array, dtype=torch.float64) for name, array in weights.items()}, strict=False
    )
    derived = ("lm_head.weight", "proj_out.weight")  # tied to the embedding
    assert [name for name in missing if name not in derived] == []
    assert unexpected == []
    if model["definition"] != "resnet":
        module.tie_weights()
    return module


def forward(module: torch.nn.Module, inputs: dict[str, np.ndarray], task: str) -> torch.Tensor:
    output = module(**arguments(tensors.select(inputs, f"{task}."), torch.float64))
    return getattr(output, "logits", output)


def upstream_forward(module: torch.nn.Module, inputs: dict[str, np.ndarray], task: str) -> torch.Tensor:
    if isinstance(module, torchvision.models.ResNet):
        return module(torch.tensor(inputs[f"{task}.images"], dtype=torch.float64))
    return forward(module, inputs, task)


def relative_l2(value: torch.Tensor, reference: torch.Tensor) -> float:
    return ((value - reference).norm() / reference.norm()).item()


def compared_models() -> list:
    def changed(name, **architecture):
        return miniatures.merged(miniatures.model(name), {"architecture": architecture})

    return [
        pytest.param(miniatures.model("SmolLM2-135M"), id="SmolLM2-135M miniature"),
        pytest.param(miniatures.full("SmolLM2-135M"), id="SmolLM2-135M", marks=pytest.mark.slow),
        pytest.param(miniatures.model("Whisper-tiny"), id="Whisper-tiny miniature"),
        pytest.param(miniatures.full("Whisper-tiny"), id="Whisper-tiny", marks=pytest.mark.slow),
        # torchvision's width is fixed
        pytest.param(changed("ResNet-50", width=64), id="ResNet-50 miniature"),
        pytest.param(miniatures.full("ResNet-50"), id="ResNet-50", marks=pytest.mark.slow),
    ]


@pytest.mark.parametrize("model", compared_models())
def test_outputs_equal_upstream(model, monkeypatch):
    monkeypatch.setattr(modeling_llama, "torch", DoubleTorch())
    weights, inputs = seed_weights.generate(model), make_inputs.generate(model)
    ours = load(model["definition"], seed_weights.architecture(model), weights, torch.float64)
    theirs = upstream(model, weights)
    del weights
    with torch.no_grad():
        for task in ("inference", "latency"):
            mine, reference = forward(ours, inputs, task), upstream_forward(theirs, inputs, task)
            assert mine.dtype == reference.dtype == torch.float64
            assert mine.shape == reference.shape
            assert relative_l2(mine, reference) < 1e-10


@pytest.mark.parametrize("model", [m for m in compared_models() if "miniature" in m.id])
def test_loss_and_gradients_equal_upstream(model, monkeypatch):
    monkeypatch.setattr(modeling_llama, "torch", DoubleTorch())
    weights, inputs = seed_weights.generate(model), make_inputs.generate(model)
    target = torch.tensor(inputs["target"])
    ours = load(model["definition"], seed_weights.architecture(model), weights, torch.float64)
    loss = losses.loss(model["loss"], forward(ours, inputs, "inference"), target)
    loss.backward()
    theirs = upstream(model, weights)
    logits = upstream_forward(theirs, inputs, "inference")
    reference = (logits.logsumexp(-1).flatten() - logits.flatten(0, -2)[range(len(target)), target]).mean()
    reference.backward()

    assert loss.item() == pytest.approx(reference.item(), rel=1e-12)
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    trained = seeded.trained(seed_weights.specs(model))
    assert {name for name, _ in ours.named_parameters()} == trained
    for name, parameter in ours.named_parameters():
        assert relative_l2(parameter.grad, gradients[name]) < 1e-9, name


@every_model
def test_state_dict_has_exactly_the_checkpoint_names(name):
    config, weights = miniatures.config(name), miniatures.weights(name)
    module = load(config["definition"], config, weights)
    assert module.state_dict().keys() == weights.keys()
    for tensor, value in module.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), weights[tensor], strict=True)


@every_model
def test_float32_is_near_float64(name):
    config, weights, inputs = miniatures.config(name), miniatures.weights(name), miniatures.inputs(name)
    single, double = (load(config["definition"], config, weights, d) for d in (torch.float32, torch.float64))
    given = tensors.select(inputs, "inference.")
    with torch.no_grad():
        output = single(**arguments(given, torch.float32))
        assert output.dtype == torch.float32
        error = relative_l2(output.double(), double(**arguments(given, torch.float64)))
    assert 1e-9 < error < 1e-5  # and really two precisions


def test_rope_depends_on_the_position_and_is_causal():
    config, weights = miniatures.config("SmolLM2-135M"), miniatures.weights("SmolLM2-135M")
    module = load("llama", config, weights, torch.float64)
    with torch.no_grad():
        whole = module(torch.tensor([[5, 9, 3, 7]]))
        assert relative_l2(module(torch.tensor([[5, 9]])), whole[:, :2]) < 1e-12
        swapped = module(torch.tensor([[9, 5, 3, 7]]))
    assert relative_l2(swapped[:, 2:], whole[:, 2:]) > 1e-2


def test_export_keeps_the_length_free():
    config, weights = miniatures.config("SmolLM2-135M"), miniatures.weights("SmolLM2-135M")
    module = load("llama", config, weights).eval()
    length = torch.export.Dim("length", min=1, max=config["max_position_embeddings"])
    exported = torch.export.export(
        module, (torch.arange(12)[None],), dynamic_shapes={"input_ids": {1: length}}
    ).module()
    with torch.no_grad():
        for size in (1, 7, 128):
            ids = torch.arange(size)[None]
            torch.testing.assert_close(exported(ids), module(ids), rtol=1e-4, atol=1e-5)


@pytest.fixture
def double_llama():
    return load("llama", miniatures.config("SmolLM2-135M"), miniatures.weights("SmolLM2-135M"), torch.float64)


def test_greedy_tokens_are_those_of_full_passes(double_llama):
    prompt = torch.tensor(miniatures.inputs("SmolLM2-135M")["decode.input_ids"])
    tokens, margins = generation.greedy(double_llama, prompt, 8)
    assert (tokens.dtype, margins.dtype) == (torch.int64, torch.float64)
    assert len(set(tokens.tolist())) == 8  # a token that repeats itself would need no cache
    with torch.no_grad():
        logits = double_llama(torch.cat((prompt, tokens[None, :-1]), dim=1))[0, prompt.shape[1] - 1 :]
    assert tokens.tolist() == logits.argmax(dim=-1).tolist()
    highest, second = logits.topk(2).values.T
    torch.testing.assert_close(margins, highest - second, rtol=1e-9, atol=1e-12)


def test_a_generation_sees_nothing_of_the_last_one(double_llama):
    long, short = torch.arange(200, 224)[None], torch.tensor([[5, 9, 3]])
    buffers = double_llama.buffers_for(28)
    with torch.no_grad():
        double_llama.prefill(long, buffers)
        first = double_llama.prefill(short, buffers)
        second = double_llama.step(torch.tensor([[7]]), torch.tensor([3]), buffers)
        whole = double_llama(torch.tensor([[5, 9, 3, 7]]))
    torch.testing.assert_close(first, whole[:, 2], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(second, whole[:, 3], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("pieces", [(12,), (11, 1), (5, 1, 4, 2)])
def test_extending_in_pieces_equals_one_pass(double_llama, pieces):
    ids = torch.arange(100, 112)[None]
    past = double_llama.buffers_for(0)
    with torch.no_grad():
        for piece in ids.split(pieces, dim=1):
            logits, past = double_llama.extend(piece, past)
        torch.testing.assert_close(logits, double_llama(ids)[:, -1], rtol=1e-9, atol=1e-12)
    assert {keys.shape[2] for keys, _ in past} == {12}


def test_a_missing_tensor_is_named():
    config, weights = miniatures.config("SmolVLA"), miniatures.weights("SmolVLA")
    del weights["layers.1.attn.k_proj.weight"]
    with pytest.raises(KeyError, match=r"action_expert: 1 missing.*layers\.1\.attn\.k_proj\.weight"):
        load("action_expert", config, weights)


def test_a_tensor_of_another_shape_is_named():
    config, weights = miniatures.config("ResNet-50"), miniatures.weights("ResNet-50")
    weights["fc.bias"] = weights["fc.bias"][:-1]
    with pytest.raises(ValueError, match=r"fc\.bias has shape \(255,\), config\.json asks for \(256,\)"):
        load("resnet", config, weights)


def test_losses_equal_those_of_numpy():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(2, 3, 11)), generator.integers(11, size=(2, 3))
    value, other = generator.normal(size=(2, 5, 4)), generator.normal(size=(2, 5, 4))
    for kind, output, target in [("cross_entropy", logits, labels), ("mse", value, other)]:
        mine = losses.loss(kind, torch.tensor(output), torch.tensor(target)).item()
        assert mine == pytest.approx(numpy_losses.loss(kind, output, target), rel=1e-14)


@pytest.mark.parametrize(
    ("kind", "shape", "target"),
    [
        ("cross_entropy", (1, 3, 5), torch.zeros(4, dtype=torch.int64)),
        ("mse", (1, 3, 5), torch.zeros(1, 1, 5)),
        ("hinge", (1, 3, 5), torch.zeros(1, 3, 5)),
    ],
)
def test_losses_refuse_what_does_not_fit(kind, shape, target):
    with pytest.raises(ValueError, match=kind):
        losses.loss(kind, torch.ones(shape), target)
