"""validate.py on the files of a small cell: every round counts, failures are told, corrupt files refused."""

import json
import subprocess
import sys

import numpy as np
import pytest

import records
import validate
from arena import files, tensors
from arena.judging import losses, quality
from judged_cell import NOTHING, OK, ROUNDS, TARGET, TOLERANCES, JudgedCell


@pytest.fixture
def cell(tmp_path):
    return JudgedCell(tmp_path)


def noisy(array: np.ndarray, share: float) -> np.ndarray:
    """``array`` with a relative L2 error of ``share``."""
    return (array * (1 + share)).astype(np.float32)


def test_a_lanes_noise_decides_which_positions_count(cell):
    """In reduced precision a lead that the lane's tolerance may turn round is a tie."""
    tolerances = TOLERANCES | {"relative_l2": 0.1, "max_error": 1.0, "loss_error": 1.0, "mean_kl": 1.0}
    reference = cell.outputs["inference.output"].astype(np.float64).reshape(4, 9)
    second, first = np.sort(reference, axis=1)[:, -2:].T
    limit = 2 * 0.1 * np.sqrt(np.mean(reference**2))
    expected = int((first - second > limit).sum())
    assert 0 < expected < 4
    for number in ROUNDS:
        cell.record(number, lane="int8")
    found = cell.judge(**{"--tolerances": [json.dumps(tolerances)]})
    assert found["parts"]["inference"]["top1_decided"] == expected
    for number in ROUNDS:
        cell.record(number, lane="float32")
    found = cell.judge(**{"--tolerances": [json.dumps(tolerances)]})
    assert found["parts"]["inference"]["top1_decided"] == 4


def test_rounds_that_agree_pass(cell):
    found = cell.judge()
    assert (found["verdict"], found["reasons"], found["schema"]) == ("pass", [], 2)
    assert [found[key] for key in ("platform", "model", "row", "lane")] == ["local", "m", "r", "float32"]
    assert found["noise"] == cell.noise
    assert found["parts"].pop("decode") is None  # the model does not generate
    assert found["parts"].pop("quality") is None  # nor does anybody ask for its text
    assert {part: figures["verdict"] for part, figures in found["parts"].items()} == {
        "inference": "pass",
        "latency": "pass",
        "training": "pass",
    }
    inference = found["parts"]["inference"]
    assert [inference[key] for key in ("relative_l2", "max_error", "loss_error")] == [0.0, 0.0, 0.0]
    assert (inference["top1_agreement"], inference["loss"]) == (1.0, cell.loss)
    assert found["parts"]["training"]["gradient_cosine"] == 1.0


@pytest.mark.parametrize("number", ROUNDS)
def test_one_bad_round_decides_and_is_named(cell, number):
    cell.output(number, latency=noisy(cell.outputs["latency.output"], 0.03))
    found = cell.judge()
    latency = found["parts"]["latency"]
    assert (found["verdict"], latency["verdict"]) == ("different", "different")
    assert latency["relative_l2"] == pytest.approx(0.03, rel=1e-3)
    assert latency["rounds"]["relative_l2"] == number
    assert found["reasons"][0] == f"latency: relative L2 3e-2 > 1e-4 (round {number})"


@pytest.mark.parametrize(
    ("accelerator", "said"),
    [("cuda", "inference: computes in TF32, whatever it calls itself"), ("cpu", None)],
)
def test_a_float32_row_that_computes_in_tf32_is_told_so(cell, accelerator, said):
    """It is struck all the same; on a device that has no TF32 the error is only an error."""
    exact = cell.outputs["inference.output"]
    noise = np.random.default_rng(6).standard_normal(exact.shape)
    noise -= exact * np.vdot(noise, exact) / np.vdot(exact, exact)  # 36 numbers may correlate by chance
    output = exact + noise * 1e-3 * np.linalg.norm(exact) / np.linalg.norm(noise)
    for number in ROUNDS:
        cell.record(number, accelerator=accelerator)
        cell.output(number, inference=output.astype(np.float32))
    found = cell.judge()
    assert found["verdict"] != "pass"
    told = [reason for reason in found["reasons"] if "whatever it calls itself" in reason]
    assert [reason.split(": its error")[0] for reason in told] == ([said] if said else [])
    for number in ROUNDS:
        cell.record(number, accelerator=accelerator, lane="tf32")
    reduced = TOLERANCES | {"relative_l2": 1e-4, "mean_kl": 1e-2}
    reasons = cell.judge(**{"--tolerances": [json.dumps(reduced)]})["reasons"]
    assert not [reason for reason in reasons if "whatever" in reason]  # it says so itself


def test_order_of_files_does_not_matter(cell):
    cell.output(2, latency=noisy(cell.outputs["latency.output"], 0.03))
    assert cell.judge(rounds=(3, 1, 2)) == cell.judge(rounds=(1, 2, 3))


def test_loss_is_recomputed_from_the_outputs(cell):
    cell.record(3, loss=cell.loss * 1.05)
    found = cell.judge()
    assert found["verdict"] == "different"
    assert found["reasons"] == ["inference: error of the printed loss 5e-2 > 1e-4 (round 3)"]
    assert found["parts"]["inference"]["loss_error"] == 0.0


def test_loss_of_other_outputs_is_in_error_even_if_printed_right(cell):
    output = cell.outputs["inference.output"] * np.float32(1.02)
    cell.output(1, inference=output)
    own = losses.loss("cross_entropy", output, TARGET)
    cell.record(1, loss=own)
    inference = cell.judge()["parts"]["inference"]
    assert inference["loss_error"] == pytest.approx(abs(own - cell.loss) / cell.loss, rel=1e-12)
    assert inference["loss_error"] > 1e-3 and inference["rounds"]["loss_error"] == 1
    assert inference["printed_loss_error"] == 0.0


def test_noise_of_the_reference_decides_which_positions_count(cell):
    largest = np.sort(cell.outputs["inference.output"].astype(np.float64).reshape(4, 9), axis=1)[:, -2:]
    margins = np.sort(largest[:, 1] - largest[:, 0])
    assert cell.judge()["parts"]["inference"]["top1_decided"] == 4
    facts = files.read_json(cell.directory / "reference.json")
    facts["noise"]["inference"]["max_abs_error"] = (margins[1] + margins[2]) / 4  # twice that: between them
    files.write_json(cell.directory / "reference.json", facts)
    assert cell.judge()["parts"]["inference"]["top1_decided"] == 2


def test_training_loss_of_every_round_is_judged(cell):
    cell.record(2, training_loss=cell.loss * 1.0005)
    found = cell.judge()
    assert found["verdict"] == found["parts"]["training"]["verdict"] == "close"
    assert found["reasons"] == ["training: loss error 5e-4 > 1e-4 (round 2)"]


def test_noise_of_the_reference_widens_a_tolerance_and_the_verdict_says_so(cell):
    cell.output(2, latency=noisy(cell.outputs["latency.output"], 2e-4))
    assert cell.judge()["verdict"] == "close"
    facts = files.read_json(cell.directory / "reference.json")
    facts["noise"]["latency"]["relative_l2"] = 5e-6
    files.write_json(cell.directory / "reference.json", facts)
    found = cell.judge(**{"--widening": ['{"factor": 50, "ceiling": 3}']})
    assert (found["verdict"], found["reasons"]) == ("pass", [])
    latency = found["parts"]["latency"]
    assert latency["tolerances"]["relative_l2"] == pytest.approx(2.5e-4)
    assert (latency["tolerances"]["max_error"], latency["widened"]) == (1e-3, {"relative_l2": 1e-4})
    assert found["parts"]["inference"]["tolerances"]["relative_l2"] == 1e-4
    assert found["parts"]["inference"]["widened"] == found["parts"]["training"]["widened"] == {}
    assert cell.judge(**{"--widening": ['{"factor": 50, "ceiling": 1}']})["verdict"] == "close"
    (cell.directory / "verdict.json").unlink()
    assert "noise_ceiling: 0.5" in cell.refused(**{"--widening": ['{"factor": 50, "ceiling": 0.5}']})


def test_a_reduced_lane_is_widened_by_what_its_own_rounding_costs(cell):
    """And by nothing else: float32's noise says nothing of it."""
    for number in ROUNDS:
        cell.record(number, lane="int8")
    cell.output(2, latency=noisy(cell.outputs["latency.output"], 3e-4))
    facts = files.read_json(cell.directory / "reference.json")
    facts["noise"]["latency"]["relative_l2"] = 1.0
    files.write_json(cell.directory / "reference.json", facts)
    widening = {"--widening": ['{"factor": 2, "ceiling": 20}']}
    narrow = {"--close-factor": ["1.5"]} | widening
    found = cell.judge(**narrow)
    assert (found["verdict"], found["rounding"], found["rounding_noise"]) == ("different", None, {})
    path = cell.directory / "rounding.json"
    rounding = {"--rounding": ["int8-blocks"], "--rounding-json": [str(path)]}
    for own, verdict in ((2e-4, "pass"), (1e-4, "different")):
        noise = {"latency": {"relative_l2": own}}
        files.write_json(path, {"noise": {"int8-blocks": noise, "int8-channels": {}}, "versions": {}})
        found = cell.judge(**narrow, **rounding)
        assert (found["verdict"], found["rounding"], found["rounding_noise"]) == (
            verdict,
            "int8-blocks",
            noise,
        )
        assert found["parts"]["latency"]["widened"] == {"relative_l2": 1e-4}
        assert found["parts"]["latency"]["tolerances"]["relative_l2"] == pytest.approx(2 * own)
    words = "latency: relative L2 3e-4 > 2e-4 (int8-blocks's noise, 1e-4, widens 1e-4) (round 2)"
    assert found["reasons"] == [words]
    (cell.directory / "verdict.json").unlink()
    files.write_json(path, {"noise": {}, "failed": {"int8-blocks": "no such kernel"}})
    found = cell.judge(**narrow, **rounding)
    assert (found["verdict"], found["rounding_noise"]) == ("different", {})
    assert found["reasons"][-1] == "nothing widens: what int8-blocks costs on these weights was not computed"
    (cell.directory / "verdict.json").unlink()
    files.write_json(path, {"noise": {"int8-channels": {}}})
    assert f"{path}: no noise.int8-blocks" in cell.refused(**narrow, **rounding)


@pytest.mark.parametrize("key, part", [("loss", "inference"), ("training_loss", "training")])
def test_loss_that_is_not_finite_is_different(cell, key, part):
    cell.record(2, **{key: None})  # how a round writes NaN
    found = cell.judge()
    assert found["parts"][part]["verdict"] == found["verdict"] == "different"
    assert "inf > 1e-4 (round 2)" in found["reasons"][0]


def test_nan_in_an_output_is_different_and_the_verdict_still_json(cell):
    output = cell.outputs["inference.output"].copy()
    output[0, 1, 2] = np.nan
    cell.output(2, inference=output)
    found = cell.judge()
    assert found["reasons"] == ["inference: NaN or infinite values (round 2)"]
    assert found["verdict"] == "different"
    assert "NaN" not in (cell.directory / "verdict.json").read_text().replace("NaN or infinite", "")


def test_output_that_is_absent_although_the_task_ended_well(cell):
    cell.output(2, inference=None)
    found = cell.judge()
    assert found["verdict"] == "different"
    assert "no tensor 'inference.output'" in found["reasons"][0] and "(round 2)" in found["reasons"][0]


def test_gradients_missing_although_the_row_trains(cell):
    tensors.save(cell.directory / "gradients.safetensors", {"up": cell.gradients["up"]})
    found = cell.judge()
    assert found["verdict"] == "different"
    assert found["parts"]["training"]["missing"] == ["down"]
    assert found["reasons"] == ["training: 1 weight(s) without a gradient: down"]


def test_row_that_does_not_train_is_judged_on_the_rest(cell):
    ended = records.ended_task("unsupported", "no-training", "an inference engine")
    tasks = {"inference": OK, "latency": OK, "training": ended}
    for number in ROUNDS:
        cell.record(number, tasks=tasks, training_loss=None)
    tensors.save(cell.directory / "gradients.safetensors", {})
    found = cell.judge()
    assert found["verdict"] == "pass"
    assert found["parts"]["training"] == NOTHING
    assert found["reasons"] == ["training: unsupported (no-training): an inference engine"]


@pytest.mark.parametrize("status, code", [("failed", "timeout"), ("unsupported", "unsupported-model")])
def test_cell_without_outputs_has_no_verdict(cell, status, code):
    for number in ROUNDS:
        cell.record(number, status=status, reason={"code": code, "detail": "so it is"}, tasks={})
        tensors.save(cell.directory / f"round-{number}.safetensors", {})
    tensors.save(cell.directory / "gradients.safetensors", {})
    found = cell.judge()
    assert found["verdict"] is None
    unasked = {"decode": None, "quality": None}
    assert found["parts"] == dict.fromkeys(("inference", "latency", "training"), NOTHING) | unasked
    assert found["reasons"] == [f"{status} ({code}): so it is"]


def test_one_failed_round_takes_the_verdict_but_not_the_figures(cell):
    cell.record(2, status="failed", reason={"code": "crashed", "detail": "SIGSEGV"})  # tasks were ok so far
    tensors.save(cell.directory / "round-2.safetensors", {})
    found = cell.judge()
    assert found["verdict"] is None
    assert found["parts"]["inference"]["verdict"] == "pass"
    assert found["reasons"] == ["failed (crashed): SIGSEGV (round 2)"]


def test_task_that_the_protocol_leaves_out_is_said(cell):
    for number in ROUNDS:
        cell.record(number, tasks={"inference": OK})
        cell.output(number, latency=None)
    found = cell.judge()
    assert found["verdict"] == "pass"
    assert found["reasons"] == ["latency: not measured", "training: not measured"]


@pytest.mark.parametrize(
    "name",
    [
        "round-2.safetensors",
        "gradients.safetensors",
        "reference.safetensors",
        "reference-gradients.safetensors",
        "inputs.safetensors",
        "round-2.json",
        "reference.json",
    ],
)
@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: b"\x00" * 64]
)
def test_corrupt_file_is_refused_by_name(cell, name, damage):
    path = cell.directory / name
    path.write_bytes(damage(path.read_bytes()))
    assert str(path) in cell.refused()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"schema": 1}, "round-2.json: schema: expected 2, got 1"),
        ({"status": "fine"}, "status: expected 'ok' or 'failed' or 'unsupported', got 'fine'"),
        ({"loss": "low"}, "loss: expected float, got str"),
        ({"cell": {}}, "cell.platform: missing"),
        ({"round": 3}, "rounds [1, 3, 3]"),
    ],
)
def test_round_that_does_not_belong_is_refused(cell, changes, words):
    path = cell.directory / "round-2.json"
    files.write_json(path, files.read_json(path) | changes)
    assert words in cell.refused()


def test_round_of_another_cell_is_refused(cell):
    cell.record(2, model="another")
    assert "another" in cell.refused()


def test_record_without_a_key_is_refused(cell):
    (cell.directory / "round-1.json").write_text('{"schema": 2}')
    assert "round-1.json: cell: missing; delete the file and measure the round again" in cell.refused()


def test_reference_without_its_loss_is_refused(cell):
    held = tensors.load(cell.directory / "reference.safetensors")
    tensors.save(
        cell.directory / "reference.safetensors", {name: held[name] for name in held if name != "loss"}
    )
    message = cell.refused()
    assert "reference.safetensors" in message and "'loss'" in message


def test_unpaired_rounds_and_outputs_are_refused(cell):
    one = [str(cell.directory / "round-1.safetensors")]
    assert "expected pairs" in cell.refused(**{"--outputs": one})


def test_unknown_tolerance_is_refused_even_if_nothing_is_judged(cell):
    for number in ROUNDS:
        cell.record(number, status="failed", reason={"code": "crashed", "detail": ""}, tasks={})
    message = cell.refused(**{"--tolerances": [json.dumps(TOLERANCES | {"l2": 1})]})
    assert "'l2'" in message


def test_command_line_exits_with_the_message_and_without_a_traceback(cell):
    (cell.directory / "round-1.json").write_text("{")
    done = subprocess.run(
        [sys.executable, validate.__file__, *cell.arguments()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "round-1.json: not a readable JSON file" in done.stderr and "Traceback" not in done.stderr


def test_without_weights_there_is_no_verdict(cell):
    reason = {"code": "no-weights", "detail": "the hub has no such repository"}
    files.write_json(cell.directory / "reference.json", {"failed": reason})
    for name in ("reference", "reference-gradients"):
        tensors.save(cell.directory / f"{name}.safetensors", {})
    for number in ROUNDS:
        files.write_json(
            cell.directory / f"round-{number}.json", records.failed("r", number, **reason, model="m")
        )
        cell.output(number, inference=None, latency=None)
    found = cell.judge()
    assert (found["verdict"], found["noise"]) == (None, {})
    assert found["reasons"] and all("no-weights" in text for text in found["reasons"])


def test_without_a_reference_there_is_none_either(cell):
    reason = {"code": "no-reference", "detail": "IndexError: class 10000"}
    files.write_json(cell.directory / "reference.json", {"failed": reason})
    for name in ("reference", "reference-gradients"):
        tensors.save(cell.directory / f"{name}.safetensors", {})
    found = cell.judge()
    assert (found["verdict"], found["noise"], found["unjudged"]) == (None, {}, reason)
    assert found["reasons"] == ["failed (no-reference): IndexError: class 10000"]


TEXT = np.random.default_rng(8).integers(0, 9, size=(2, 32))


def predicts(cell, number=1, of=None, **record):
    """Have round ``number`` predict a text as the reference does, or as ``of`` makes of its logits."""
    logits = np.random.default_rng(9).normal(size=(2, 1, 32, 9))
    reference = tensors.load(cell.directory / "reference.safetensors")
    for folder, kept, found in (
        ("reference", reference, logits),
        (f"round-{number}", cell.outputs, (of or np.array)(logits).astype(np.float32)),
    ):
        text = quality.Predictions()
        for window, target in zip(found, TEXT, strict=True):
            text.add(window, target)
        named = {f"quality.{name}": array for name, array in text.tensors().items()}
        tensors.save(cell.directory / f"{folder}.safetensors", kept | named)
    told = {"status": "ok", "reason": None, "tokens": 64, "loss": 2.0, "seconds": 0.1}
    cell.record(number, quality=told | record)


def test_what_users_lose_is_told_and_not_judged(cell):
    predicts(cell, of=lambda logits: 0.5 * logits)
    found = cell.judge()
    assert (found["verdict"], found["reasons"]) == ("pass", [])
    text = found["parts"]["quality"]
    assert (text["tokens"], text["kl_positions"], text["note"]) == (64, 4, None)
    assert text["mean_kl"] > 0.05 and text["top1_agreement"] == 1.0  # half the logits have the same order
    assert text["perplexity_change"] == pytest.approx(text["perplexity"] / text["reference_perplexity"] - 1)


def test_a_text_that_was_not_predicted_to_its_end_is_a_reason_and_no_verdict(cell):
    reason = {"code": "error", "detail": "out of ink"}
    predicts(cell, status="failed", reason=reason, tokens=None, seconds=None)
    found = cell.judge()
    assert (found["verdict"], found["parts"]["quality"]) == ("pass", None)
    assert found["reasons"] == ["quality: failed (error): out of ink"]


def test_an_infinite_perplexity_is_written_as_null(cell):
    def impossible(logits):
        changed = np.array(logits)
        changed[0, 0, 0] = 0
        changed[0, 0, 0, TEXT[0, 0]] = -1e6
        return changed

    predicts(cell, of=impossible)
    text = cell.judge()["parts"]["quality"]
    assert text["perplexity"] is None and text["top1_agreement"] > 0.9


def test_a_reference_without_the_text_is_refused(cell):
    told = {"status": "ok", "reason": None, "tokens": 64, "loss": 2.0, "seconds": 0.1}
    cell.record(1, quality=told)
    assert "no tensors 'quality.…'; compute the reference again" in cell.refused()
