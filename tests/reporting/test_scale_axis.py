"""Counted arithmetic, variants with more work, and what the report and the CSV make of a GPU's figures."""

import functools

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import miniatures
import records
from arena.configuration import loader
from arena.contract import codec
from arena.contract.round import Gpu, GpuWatch
from arena.contract.verdict import Verdict
from arena.weights import source
from frameworks.pytorch.models import llama, resnet
from models import flops
from reporting import columns, comparison, gpu, peaks, rounds, rows, scale_axis
from reporting.document import build

BUILDERS = {"llama": llama, "resnet": resnet}


def counted_by_torch(definition, architecture, inputs):
    """Operations of one forward pass as PyTorch's own counter sees its operators."""
    module = BUILDERS[definition].build(architecture)
    plain = sdpa_kernel(SDPBackend.MATH)  # matrix products that the counter knows
    with plain, FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(**inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize(("batch", "edge"), [(1, 32), (3, 32), (2, 45)])
def test_resnet_s_operations_are_those_that_torch_counts(batch, edge):
    architecture = miniatures.config("ResNet-50")
    images = torch.zeros(batch, 3, edge, edge)
    expected = counted_by_torch("resnet", architecture, {"images": images})
    assert flops.forward("resnet", architecture, {"images": tuple(images.shape)}) == expected


def test_resnet_50_needs_the_published_count():
    architecture = miniatures.full("ResNet-50")["architecture"]
    count = flops.forward("resnet", architecture, {"images": (1, 3, 224, 224)})
    assert count / 2 == pytest.approx(
        4.09e9, rel=2e-3
    )  # torchvision's weights list 4.09 GFLOPS of both in one


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 7), (3, 16)])
def test_llama_s_operations_are_torch_s_without_the_masked_pairs(batch, length):
    architecture = miniatures.config("SmolLM2-135M")
    ids = torch.zeros(batch, length, dtype=torch.long)
    every_pair = counted_by_torch("llama", architecture, {"input_ids": ids})
    heads = architecture["num_attention_heads"] * architecture["head_dim"]
    masked = length * (length - 1) // 2 * 4 * heads * architecture["num_hidden_layers"] * batch
    assert flops.forward("llama", architecture, {"input_ids": (batch, length)}) == every_pair - masked


def test_other_definitions_are_not_counted():
    assert flops.forward("unet", {}, {}) is None


def resolved(models):
    return loader.resolve({"run": {"models": list(models)}, "models": models}, miniatures.ROOT)


def test_a_variant_has_its_model_s_keys_but_for_what_it_gives():
    shapes = {"inference": {"input_ids": {"shape": [8, 128]}}, "target": {"shape": [1024]}}
    found = resolved({"Eight": {"scale_of": "SmolLM2-135M", "title": "eight", "workload": shapes}})["models"]
    variant, base = found["Eight"], found["SmolLM2-135M"]
    assert variant["workload"]["inference"]["input_ids"] == {
        **base["workload"]["inference"]["input_ids"],
        "shape": [8, 128],
    }
    assert variant["workload"]["latency"] == base["workload"]["latency"]
    assert variant["architecture"] == base["architecture"] and variant["seed"] == base["seed"]
    assert "decode" in base["workload"] and "decode" not in variant["workload"]


@pytest.mark.parametrize("base", ["Nothing", "Eight", "Sixteen"])
def test_a_variant_of_no_whole_model_is_refused(base):
    entry = miniatures.full("SmolLM2-135M")
    models = {"Eight": entry | {"scale_of": base}, "Sixteen": entry | {"scale_of": "SmolLM2-135M"}}
    with pytest.raises(loader.ConfigError, match=r"models\.Eight\.scale_of"):
        resolved(models)


def test_the_gpu_s_configuration_is_whole():
    user = loader.read_yaml(miniatures.ROOT / "config" / "gpu.yaml")
    default = loader.read_yaml(miniatures.ROOT / "config" / "config.yaml")
    whole = loader.resolve(loader.merge(default, user), miniatures.ROOT)
    assert {entry["accelerator"] for entry in whole["platforms"]} == {"cuda"}
    variants = [name for name in whole["run"]["models"] if whole["models"][name]["scale_of"]]
    assert len(variants) == 6
    for name in whole["run"]["models"]:
        entry = whole["models"][name]
        assert entry["weights"] == "seeded"
        if entry["definition"] == "llama":
            batch, length = entry["workload"]["inference"]["input_ids"]["shape"]
            assert entry["workload"]["target"]["shape"] == [batch * length]


CARD = Gpu(name="NVIDIA H100 80GB HBM3", driver="580.1", power_limit_w=700.0)


def on_card(row, number, power=300.0, **changes):
    """A round on an H100."""
    record = records.round_record(row, number, accelerator="cuda", **changes)
    record["machine"]["gpu"] = codec.encode(CARD)
    look = GpuWatch(
        looks=4, sm_mhz=[345, 1800 + number, 1980], power_w=[70, power, power + number],
        celsius=[30, 35, 40], throttle={"idle": 2, "power cap": 1}, others={"7": 10},
    )  # fmt: skip
    record["conditions"]["during"] = {"gpu": codec.encode(look)}
    for task, held in (("inference", 600_000_000), ("latency", 600_000_000), ("training", 2_000_000_000)):
        record["memory"][f"device_{task}_peak_bytes"] = held + number
        record["tasks"][task]["device_ns"] = [number * 1_000_000] * 12
    record["tasks"]["inference"]["energy"] = {"joules": 1500.0, "seconds": 5.0, "iterations": 100 * number}
    return record


def cell_of(found, verdict="pass"):
    judged = codec.decode(Verdict, records.verdict_record("eager", verdict))
    return rounds.RecordedCell("Tiny", "eager", list(map(records.round_of, found)), ["round-1.json"], judged)


def test_the_card_s_columns_sum_up_its_rounds():
    row = gpu.figures(cell_of([on_card("eager", 1), on_card("eager", 2), on_card("eager", 3)]))
    assert row == {
        "gpu": CARD.name, "gpu_driver": "580.1", "gpu_power_limit_w": 700.0, "peak_tflops": 66.9,
        "gpu_sm_mhz": 1802, "gpu_sm_max_mhz": 1980, "gpu_power_max_w": 303.0, "gpu_celsius_max": 40,
        "gpu_throttle": "power cap", "gpu_others": 1, "inference_device_mb": 600.0, "device_peak_mb": 2000.0,
        "inference_device_ms": 2.0, "latency_device_ms": 2.0, "training_device_ms": 2.0,
        "inference_energy_j": 7.5, "inference_power_w": 300.0,
    }  # fmt: skip
    assert set(row) == {column.name for column in columns.GPU}


def test_a_cell_on_a_cpu_or_one_that_failed_has_no_figures_of_a_card():
    assert gpu.figures(cell_of([records.round_record("eager")])) == {}
    record = records.failed("eager", accelerator="cuda", code="wrong-device")
    record["machine"]["gpu"] = codec.encode(CARD)
    assert set(gpu.figures(cell_of([record], None))) == {
        "gpu",
        "gpu_driver",
        "gpu_power_limit_w",
        "peak_tflops",
    }


def test_a_framework_without_a_device_clock_leaves_its_times_empty():
    record = on_card("jax", 1)
    record["tasks"]["inference"]["device_ns"] = None
    row = gpu.figures(cell_of([record]))
    assert row["inference_device_ms"] is None and row["latency_device_ms"] == 1.0


def test_peaks_are_those_of_the_very_card():
    assert peaks.peak("NVIDIA H100 80GB HBM3", "bfloat16") == 989.4
    assert peaks.peak("NVIDIA H100 PCIe", "tf32") == 378.0
    assert peaks.peak("NVIDIA H100 NVL", "float32") is None and peaks.peak(None, "float32") is None


def line(model, scale_of, milliseconds, operations, **changes):
    row = {"model": model, "scale_of": scale_of, "platform": "H100", "platform_id": "gpu", "status": "pass"}
    row |= {"framework": "JAX", "lane": "tf32", "peak_tflops": 494.7, "forward_flops": operations}
    return row | {"inference_ms": milliseconds, "training_ms": 2 * milliseconds} | changes


ONE, EIGHT = line("Tiny", None, 1.0, 3.4e10), line("Tiny-b8", "Tiny", 2.0, 2.72e11)


def test_achieved_operations_and_their_share_of_the_peak():
    assert scale_axis.tflops(EIGHT, "inference") == pytest.approx(136)
    assert scale_axis.tflops(EIGHT, "training") == pytest.approx(204)
    assert scale_axis.share(EIGHT, "inference") == pytest.approx(136 / 494.7)
    assert scale_axis.tflops(EIGHT | {"training_ms": None}, "training") is None


def test_the_table_of_larger_work_has_each_variant_after_its_model():
    own = [EIGHT, ONE, line("Other", None, 1.0, 1e9), line("Tiny-b9", "Tiny", 1.0, 3e11, status="different")]
    elsewhere = [EIGHT | {"measured_by": "arena", "platform": "H200"}]
    found = scale_axis.table(own, elsewhere)
    assert [(each["model"], each["platform"]) for each in found] == [
        ("Tiny", "H100"), ("Tiny-b8", "H100"), ("Tiny-b8", "H200"),
    ]  # fmt: skip
    assert found[1]["inference_tflops"] == "136" and found[1]["inference_share"] == "27 %"
    assert scale_axis.table([ONE], []) == []  # a model alone has no scale


def test_work_and_card_come_into_the_csv():
    cells = [cell_of([on_card("eager", 1)])]
    work = {"Tiny": {"scale_of": "Larger", "forward_flops": 12}}
    collect = functools.partial(
        rows.rows, cells, "auto", "eager", {"Tiny": source.Weights("seeded (seed 7)", None)}
    )
    (row,) = collect(work=work)
    assert row["scale_of"] == "Larger" and row["forward_flops"] == 12 and row["gpu"] == CARD.name
    assert set(row) <= {*columns.NAMES, *columns.BEHIND}


def test_a_table_of_this_arena_s_is_told_from_those_of_others():
    ours = {"measured_by": "arena", "date": "2026-11-22", "source": "h200.jsonl", "evidence": "recomputed"}
    theirs = {"measured_by": "kvark/inferena", "date": "2026-04", "source": "m3.csv", "evidence": "original"}
    for row in (ours, theirs):
        row |= {"platform": "Apple M3", "framework": "JAX"}
    notes = [note for _, note in comparison.sources([ours, theirs]).values()]
    assert notes[0].startswith(
        "arena, h200.jsonl (2026-11-22), recomputed here from its records, by this arena's"
    )
    assert notes[1].startswith("kvark/inferena (2026-04), by the original's own protocol: not to be compared")


def test_marks_are_the_same_in_every_table():
    figures = dict.fromkeys(("compile_s", "inference_ms", "latency_ms", "training_ms", "loss"))
    figures |= {"framework": "JAX", "version": "1", "backend": "CUDA", "verdict": "pass", "status": "pass"}
    theirs = figures | {"measured_by": "others", "platform": "M3", "model": "First"}
    ours = figures | {"measured_by": "arena", "platform": "H100", "model": "Second"}
    own = figures | {"platform": "This", "model": "Second", "date": None, "weights": None, "lane": None}
    (model,) = build.report([own], [theirs, ours], {"Second": {}}).models
    assert [(line.machine, line.source_mark) for line in model.lines] == [("This", ""), ("H100", "‡")]
