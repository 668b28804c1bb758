"""What is said of the processor."""

import pytest

from arena.measuring import machine

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1

processor\t: 1
cpu family\t: 26
model\t\t: 2
model name\t: AMD other
stepping\t: 0
"""
NEOVERSE = "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
NAMES = ("cpu_family", "cpu_model", "cpu_stepping")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (EPYC, (25, 17, 1)),
        (EPYC.replace("stepping\t: 1", "stepping\t: unknown"), (25, 17, None)),
        (NEOVERSE, (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_a_processor_s_numbers_are_those_of_the_first_that_linux_lists(tmp_path, monkeypatch, text, numbers):
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    if text is not None:
        machine.CPU_INFO.write_text(text)
    assert machine.cpu_numbers() == dict(zip(NAMES, numbers, strict=True))
    facts = machine.facts()
    assert tuple(facts[name] for name in NAMES) == numbers
    if text and "model name" in text:
        assert facts["cpu"] == "AMD EPYC"
