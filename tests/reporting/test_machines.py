"""What machines are called: so that one is told from another."""

import pytest

from reporting import machines


def row(platform, cpu=None, cores=2.0, memory=25.2, **more):
    facts = {"platform": platform, "platform_id": "local", "cpu": cpu, "cores": cores, "memory_gb": memory}
    return facts | more


def epyc(family, model):
    return row("AMD EPYC", "AMD EPYC", cpu_id=f"family {family}, model {model}, stepping 1")


def name(*rows):
    found = machines.named((machines.key(each, True), each) for each in rows)
    assert len(found) == 1
    return next(iter(found.values()))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("AMD EPYC", "AMD EPYC")], "AMD EPYC, 2 cores, 25 GB"),
        (
            [row("Intel(R) Xeon(R) Processor @ 2.50GHz", "Intel(R) Xeon(R) Processor @ 2.50GHz", 1.0, 7.9)],
            "Intel(R) Xeon(R) Processor @ 2.50GHz, 1 core, 8 GB",
        ),
        ([epyc(25, 17)], "AMD EPYC (family 25, model 17), 2 cores, 25 GB"),
        ([row("AMD EPYC", "AMD EPYC", cpu_id="family 25")], "AMD EPYC, 2 cores, 25 GB"),
        (
            [epyc(25, 17), epyc(25, 1), epyc(25, 17)],
            "AMD EPYC (family 25, model 1; family 25, model 17), 2 cores, 25 GB",
        ),
        # It has a model number.
        (
            [row("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763 64-Core Processor")],
            "AMD EPYC 7763 64-Core Processor",
        ),
        # It is called by its accelerator, or as its owner calls it.
        ([row("NVIDIA H200", "Intel(R) Xeon(R) Processor")], "NVIDIA H200"),
        ([row("This machine", "AMD EPYC")], "This machine"),
        # Published without cores and memory.
        ([row("Intel Xeon", "Intel Xeon", None, None)], "Intel Xeon"),
        # Cells of several nodes.
        ([row("AMD EPYC", "AMD EPYC", 2.0), row("AMD EPYC", "AMD EPYC", 4.0)], "AMD EPYC, 2–4 cores, 25 GB"),  # noqa: RUF001
    ],
)
def test_a_processor_without_a_model_number_has_cores_and_memory_in_its_name(rows, expected):
    assert name(*rows) == expected
