"""What a framework's file leaves to convention, and what follows from it for a cell."""

import pytest

from arena.configuration import frameworks, loader
from runner import REPOSITORY

CATALOGUE = loader.resolve({}, REPOSITORY)["frameworks"]
ROOMS = "workflow/scripts/frameworks"


def refused(row, accelerator, model="SmolLM2-135M", definition="llama"):
    entry = next(entry for entry in CATALOGUE.values() if row in entry["rows"])
    reason = frameworks.unsupported(entry, row, model, definition, accelerator)
    return reason and reason["code"]


def test_a_room_is_found_by_its_name():
    jax, burn = CATALOGUE["jax"], CATALOGUE["burn"]
    assert (jax["adapter"], jax["engine"]) == (f"{ROOMS}/jax/adapter.py", None)
    assert (jax["env"], jax["distribution"], jax["definitions"]) == ("jax", "jax", "jax")
    assert (burn["adapter"], burn["engine"], burn["definitions"]) == (None, "burn", None)
    assert CATALOGUE["onnxruntime"]["definitions"] is None  # it has no models/


def test_what_a_file_says_stays():
    assert CATALOGUE["candle"]["distribution"] == "candle-core"
    assert CATALOGUE["candle"]["env"] == "rust"
    assert CATALOGUE["inferi"]["engine"] == "inferi"


def test_every_room_is_a_frameworks():
    rooms = {path.parent.name for path in (REPOSITORY / ROOMS).glob("*/adapter.py")}
    folder = REPOSITORY / "workflow/engines"
    rooms_of_engines = [*folder.glob("arena-*/Cargo.toml"), *folder.glob("javascript/arena-*/package.json")]
    engines = {path.parent.name for path in rooms_of_engines}
    assert rooms == {name for name, entry in CATALOGUE.items() if entry["adapter"]}
    made = {entry["engine"] for entry in CATALOGUE.values() if entry["engine"]} - {"inferi"}
    assert engines == {f"arena-{engine}" for engine in made}


@pytest.mark.parametrize(
    ("row", "accelerator", "env", "distribution", "interface"),
    [
        ("jax", "cpu", "jax", "jax", "cpu"),
        ("jax", "cuda", "jax-cuda", "jax", "cuda"),
        ("onnxruntime", "cuda", "onnxruntime-cuda", "onnxruntime-gpu[cuda,cudnn]", "cuda"),
        ("meganeura", "cuda", "rust", "meganeura", "vulkan"),
        ("meganeura", "cpu", "rust", "meganeura", "lavapipe"),
        ("meganeura", "vulkan", "rust", "meganeura", "vulkan"),
    ],
)
def test_how_a_row_reaches_a_device(row, accelerator, env, distribution, interface):
    found = frameworks.reach(CATALOGUE[row], row, accelerator)
    found = {key: found[key] for key in ("env", "distribution", "interface")}
    assert found == {"env": env, "distribution": distribution, "interface": interface}


def test_libraries_differ_with_the_accelerator():
    entry = CATALOGUE["mlx"]
    assert frameworks.reach(entry, "mlx", "cpu")["libraries"] == ["scipy-openblas32"]
    assert frameworks.reach(entry, "mlx", "cuda")["libraries"] == []


def test_a_row_overrides_its_framework():
    row = {"lane": "float32", "accelerators": {"cuda": {"interface": "tensorrt"}}, "elsewhere": None}
    entry = CATALOGUE["onnxruntime"] | {"rows": {"trt": row}}
    found = frameworks.reach(entry, "trt", "cuda")
    assert (found["interface"], found["distribution"]) == ("tensorrt", "onnxruntime-gpu[cuda,cudnn]")
    assert frameworks.reach(entry, "trt", "cpu") is None
    reason = frameworks.unsupported(entry, "trt", "ResNet-50", "resnet", "cpu")
    assert reason == {"code": "no-device", "why": "This row is for cuda."}


@pytest.mark.parametrize(
    ("row", "accelerator", "code"),
    [
        ("pytorch-eager", "cpu", None),
        ("pytorch-eager", "vulkan", "no-device"),
        ("pytorch-tf32", "cuda", None),
        ("pytorch-tf32", "cpu", "unsupported-lane"),
        ("jax-tf32", "rocm", "unsupported-lane"),
        ("pytorch-reduce-overhead", "cuda", None),
        ("pytorch-reduce-overhead", "cpu", "no-device"),
        ("burn", "cuda", "no-device"),
        ("burn-wgpu", "cuda", None),
        ("burn-wgpu", "metal", "no-device"),
    ],
)
def test_which_devices_a_row_refuses(row, accelerator, code):
    assert refused(row, accelerator) == code


def test_a_model_is_refused_by_name_or_by_definition():
    assert refused("llamacpp", "cpu", "ResNet-50", "resnet") == "unsupported-model"
    assert refused("llamacpp", "cpu", "ResNet-50-b8", "resnet") == "unsupported-model"
    assert refused("llamacpp", "cpu") is None
    named = CATALOGUE["jax"] | {"unsupported": {"A": {"code": "unsupported-operator", "why": "No."}}}
    assert frameworks.model_reason(named, "A", "llama")["code"] == "unsupported-operator"
    assert frameworks.model_reason(named, "B", "llama") is None


def test_tasks_come_with_their_codes():
    assert frameworks.unsupported_tasks(CATALOGUE["openvino"]) == {
        "training": {"code": "no-training", "why": "OpenVINO runs inference only."}
    }
    assert frameworks.unsupported_tasks(CATALOGUE["jax"]) == {}


def test_a_framework_may_be_installed_under_several_names():
    names = [each["distribution"] for each in frameworks.distributions(CATALOGUE["onnxruntime"])]
    assert names == ["onnxruntime", "onnxruntime-gpu[cuda,cudnn]", "onnxruntime-migraphx"]


def test_formats_know_their_maker():
    made = frameworks.exports(CATALOGUE)
    makers = {"gguf": "llamacpp", "jax": "jax", "onnx": "onnxruntime", "openvino": "openvino"}
    assert {name: made[name]["framework"] for name in makers} == makers
    assert (made["onnx"]["env"], made["openvino"]["env"]) == ("reference", "openvino")
    assert frameworks.exporter_file(made["onnx"], "decode") == f"{ROOMS}/onnxruntime/export_decode.py"


def test_a_text_is_predicted_where_a_framework_has_a_row_in_reduced_precision_and_is_no_engine():
    asked = {name for name, entry in CATALOGUE.items() if frameworks.reduces(entry)}
    assert asked == {
        "pytorch", "jax", "llamacpp", "openvino", "ctranslate2", "onnxruntime", "mlx", "tensorflow", "litert",
        "executorch",
    }  # fmt: skip


def test_a_row_may_read_another_format_than_its_framework():
    openvino, jax = CATALOGUE["openvino"], CATALOGUE["jax"]
    assert frameworks.export(openvino, "openvino-int8-weights") == "openvino"
    assert frameworks.export(openvino, "openvino-int8-full") == "openvino-int8-full"
    assert frameworks.export(jax | {"export": None}, "jax") is None


def test_a_row_s_own_variables_count_before_the_framework_s():
    rows = {"a": {"environment": {"X": "2", "Y": "{cache}"}}, "b": {"environment": {}}}
    entry = {"environment": {"X": "1", "Z": "3"}, "rows": rows}
    assert frameworks.environment(entry, "a") == {"X": "2", "Y": "{cache}", "Z": "3"}
    assert frameworks.environment(entry, "b") == {"X": "1", "Z": "3"}


def test_llama_cpp_s_strict_row_takes_tf32_back_and_its_tf32_row_does_not():
    entry = CATALOGUE["llamacpp"]
    strict, fast = (frameworks.environment(entry, row) for row in ("llamacpp", "llamacpp-tf32"))
    assert (strict.get("NVIDIA_TF32_OVERRIDE"), fast.get("NVIDIA_TF32_OVERRIDE")) == ("0", None)
