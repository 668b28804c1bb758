"""Counting a model from its specification: the sums, and what is refused. docs/models shows whole outputs."""

import subprocess
import sys

import pytest

from runner import REPOSITORY

PROGRAM = REPOSITORY / "workflow/tools/describe_model.py"


def describe(*arguments):
    return subprocess.run(
        [sys.executable, PROGRAM, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def overlay(folder, text):
    file = folder / "overlay.yaml"
    file.write_text(text, encoding="utf-8")
    return "--configfile", str(file)


def test_parts_add_up_to_the_total():
    done = describe("Whisper-tiny")
    total, *parts = done.stdout.partition("inference:")[0].replace(",", "").splitlines()
    count, tensors = total.split()[0], total.split()[-2]
    sums = [line.split()[1:] for line in parts]
    assert sum(int(values) for values, _, _ in sums) == int(count)
    assert sum(int(number) for _, _, number in sums) == int(tensors)


def test_an_overlay_changes_the_count(tmp_path):
    """One bottleneck less in the last stage: three convolutions and their normalisations."""
    changed = overlay(tmp_path, "models: {ResNet-50: {architecture: {layers: [3, 4, 6, 2]}}}")
    said = [describe("ResNet-50", "--total", *more).stdout for more in ((), changed)]
    full, less = (int(line.split()[0].replace(",", "")) for line in said)
    assert full - less == 2 * 512 * 2048 + 9 * 512**2 + 4 * (512 + 512 + 2048)


def test_a_variant_with_more_work_takes_the_rest_from_its_model(tmp_path):
    """Twice the images need twice the operations, and the parameters stay."""
    text = """
models:
  ResNet-50-b8:
    title: eight images
    scale_of: ResNet-50
    workload:
      inference: {images: {shape: [8, 3, 224, 224]}}
      target: {shape: [8]}
"""
    lines = describe("ResNet-50-b8", *overlay(tmp_path, text)).stdout.splitlines()
    assert lines[0] == "25,610,152 parameters in 267 tensors"
    assert f"  operations: {2 * 32_713_474_048:,}" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ResNet50"], "'ResNet50' is no model; expected one of ResNet-50, "),
        (["ResNet-50", "--tensors", "none"], "no tensor of definition resnet has 'none' in its name"),
        (["ResNet-50", "--configfile", "none.yaml"], "none.yaml: "),
    ],
)
def test_what_is_not_there_is_named(arguments, message):
    done = describe(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
