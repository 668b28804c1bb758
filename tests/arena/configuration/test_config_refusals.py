"""What the configuration refuses, and in which words."""

import pytest
import yaml

from arena.configuration import loader
from catalogues import FRAMEWORK
from runner import REPOSITORY

# name: (overlay, [(key path, all of these in its line), ...]); the number of lines must agree.
BAD = {
    "idle accelerator": (
        "platforms: [{name: x, cluster: {cpus: 1, gres: 'gpu:1'}}]",
        [("platforms[0].cluster.gres", '"gpu:1" would lie idle', "accelerator is `cpu`")],
    ),
    "nobody's accelerator": (
        "platforms: [{name: x, accelerator: cuda, cluster: {cpus: 1, exclusive: false}}]",
        [("platforms[0].cluster.gres", "missing", "on a shared node")],
    ),
    "accelerators of another form": (
        "platforms: [{name: x, accelerator: cuda, cluster: {cpus: 1, gres: 1 GPU}}]",
        [("platforms[0].cluster.gres", '"1 GPU"', "`name:type:count`")],
    ),
    "nodes without CPUs": (
        "platforms: [{name: x, cluster: {partition: gpu}}]",
        [("platforms[0].cluster.cpus", "missing", "an integer (at least 1)")],
    ),
    "environment of an accelerator": (
        "{frameworks: {jax: {accelerators: {cuda: {env: jax-cuba}}}}, platforms: [{name: x, accelerator: cuda}]}",
        [
            (
                "frameworks.jax.accelerators.cuda.env",
                "envs/jax-cuba.yaml does not exist",
                "did you mean jax-cuda?",
            )
        ],
    ),
    "accelerator of an environment": (
        "frameworks: {jax: {accelerators: {gpu: {env: jax-cuda}}}}",
        [("frameworks.jax.accelerators.gpu", '"gpu" is not allowed as a name', "`cuda`")],
    ),
    "interface that nobody knows": (
        "frameworks: {jax: {accelerators: {cuda: {interface: opencl}}}}",
        [("frameworks.jax.accelerators.cuda.interface", '"opencl"', "`cuda`", "`vulkan`")],
    ),
    "accelerator of a row that its framework does not have": (
        "frameworks: {openvino: {rows: {openvino: {accelerators: {cuda: {}}}}}}",
        [("frameworks.openvino.rows.openvino.accelerators.cuda", "no accelerator of openvino", "cpu, xpu")],
    ),
    "lane that the adapter does not know": (
        "frameworks: {jax: {rows: {jax-int8: {label: JAX int8, lane: int8}}}}",
        [
            (
                "frameworks.jax.rows.jax-int8.lane",
                '"int8" is no lane of jax',
                "float32, tf32, bfloat16",
                "config/frameworks/jax.yaml",
            )
        ],
    ),
    "framework without a room": (
        "frameworks: {x: {name: X, url: https://x.org, license: MIT, rows: {x: {label: X}}}}",
        [("frameworks.x", "workflow/scripts/frameworks/x/adapter.py", "workflow/engines/arena-x/")],
    ),
    "task that nobody may lack": (
        "frameworks: {jax: {unsupported_tasks: {inference: It has none.}}}",
        [("frameworks.jax.unsupported_tasks.inference", "not allowed as a name", "`training`, `decode`")],
    ),
    "format that is made twice": (
        "frameworks: {jax: {exports: {onnx: {model: {files: [a]}}}}}",
        [("frameworks.onnxruntime.exports.onnx", "frameworks.jax.exports.onnx makes it")],
    ),
    "export of what it makes": (
        "frameworks: {onnxruntime: {exports: {onnx-int8: {model: {reads: [onnx-int8/model.onnx]}}}}}",
        [("frameworks.onnxruntime.exports.onnx-int8.model.reads", "is made from what it makes")],
    ),
    "exports of each other": (
        "frameworks: {onnxruntime: {exports: {onnx: {model: {reads: [onnx-int8/model.onnx]}}}}}",
        [
            ("frameworks.onnxruntime.exports.onnx.model.reads", "is made from what it makes"),
            ("frameworks.onnxruntime.exports.onnx-int8.model.reads", "is made from what it makes"),
        ],
    ),
    "two rows of one name": (
        "frameworks: {onnxruntime: {rows: {onnxruntime: {label: ' openvino'}}}}",
        [("frameworks.openvino.rows.openvino.label", "is the label of onnxruntime too, and both are run")],
    ),
    "values that are not JSON's": (
        "frameworks: {jax: {rows: {jax: {options: {day: 2026-01-01, at: .nan, all: !!set {a}, raw: !!binary aa==}}}}}",
        [
            (
                "frameworks.jax.rows.jax.options.all",
                "is a set to YAML",
                "allowed: text, which has quotation marks",
            ),
            ("frameworks.jax.rows.jax.options.at", "nan is not finite"),
            ("frameworks.jax.rows.jax.options.day", '"2026-01-01" is a date to YAML'),
            ("frameworks.jax.rows.jax.options.raw", "is a bytes to YAML"),
        ],
    ),
    "an architecture that is not finite": (
        "models: {ResNet-50: {architecture: {width: .inf}}}",
        [("models.ResNet-50.architecture.width", "inf is not finite")],
    ),
    "variables that say more than they may": (
        r'frameworks: {jax: {environment: {A: "{cache.parent}", B: "{threads:>9}", C: "a\0b", D: "{{x}} {cache}"}}}',
        [(f"frameworks.jax.environment.{name}", "braces hold only `threads` or `cache`") for name in "ABC"],
    ),
    "a text of no file": (
        "models: {SmolLM2-135M: {workload: {quality: {tokens: /dev/zero}}}}",
        [("models.SmolLM2-135M.workload.quality.tokens", "/dev/zero: no file", "a file of token ids")],
    ),
    "export of what nobody writes": (
        "frameworks: {openvino: {exports: {openvino: {model: {reads: [onnx/modle.onnx]}}}}}",
        [
            (
                "frameworks.openvino.exports.openvino.model.reads",
                '"onnx/modle.onnx"',
                "did you mean onnx/model.onnx?",
            )
        ],
    ),
    "missing exporter": (
        "frameworks: {jax: {exports: {jax: {model: {exporter: exprot}}}}}",
        [("frameworks.jax.exports.jax.model.exporter", "frameworks/jax/exprot.py does not exist")],
    ),
    "negative rounds": ("protocol: {rounds: -1}", [("protocol.rounds", "-1", "an integer (at least 1")]),
    "fractional rounds": ("protocol: {rounds: 3.0}", [("protocol.rounds", "3.0", "an integer")]),
    "text for a number": (
        "protocol: {rounds: '3'}",
        [("protocol.rounds", '"3"', "an integer", "without quotation marks")],
    ),
    "YAML 1.1 exponent": (
        "gate: {float32: {relative_l2: 1e-4}}",
        [("gate.float32.relative_l2", '"1e-4"', "a number (above 0)", "write 1.0e-4")],
    ),
    "exponent without a sign": (
        "protocol: {timeout_s: 9.0e2}",
        [("protocol.timeout_s", '"9.0e2"', "an integer", "write 9.0e+2")],
    ),
    "boolean for a number": ("protocol: {seed: true}", [("protocol.seed", "true", "an integer")]),
    "not a number": (
        "protocol: {warmup: {tolerance: .nan}}",
        [("protocol.warmup.tolerance", "NaN", "a number")],
    ),
    "infinite": (
        "protocol: {sampling: {max_seconds: .inf}}",
        [("protocol.sampling.max_seconds", "Infinity")],
    ),
    "unknown key": (
        "protocol: {sede: 1}",
        [("protocol.sede", "unknown key", "did you mean seed?", "allowed here: rounds, seed")],
    ),
    "unknown key at the top": ("protocoll: {}", [("protocoll", "unknown key", "did you mean protocol?")]),
    "no mapping": ("gate: null", [("gate", "null", "a mapping")]),
    "key that is not text": ("42: {}", [("42", "not text", "quotation marks")]),
    "threads": (
        "protocol: {threads: all}",
        [("protocol.threads", '"all"', "`auto` or an integer (at least 1)")],
    ),
    "memory": (
        "protocol: {memory_limit_mb: 0}",
        [("protocol.memory_limit_mb", "0", "at least 1) or `null`")],
    ),
    "no inference": (
        "protocol: {tasks: [latency]}",
        [("protocol.tasks", '["latency"]', "`inference` among them")],
    ),
    "misspelt task": (
        "protocol: {tasks: [inference, trainig]}",
        [
            (
                "protocol.tasks[1]",
                '"trainig"',
                "one of `inference`, `latency`, `decode`, `training`",
                "did you mean training?",
            )
        ],
    ),
    "ends before it may": (
        "protocol: {warmup: {max_seconds: 0.1}}",
        [("protocol.warmup.max_seconds", "0.1", "at least 0.5")],
    ),
    "no models": ("run: {models: []}", [("run.models", "[]", "at least one")]),
    "model twice": ("run: {models: [SmolVLA, SmolVLA]}", [("run.models[1]", '"SmolVLA"', "given before")]),
    "unknown model": (
        "run: {models: [resnet50]}",
        [("run.models[0]", '"resnet50"', "did you mean ResNet-50?", "SmolLM2-135M, SmolVLA")],
    ),
    "unknown row": (
        "run: {rows: [pytorch-eager, onnx-runtime]}",
        [("run.rows[1]", '"onnx-runtime"', "did you mean onnxruntime?", "pytorch-compiled")],
    ),
    "unknown row left out": (
        "run: {left_out: {luminol: It is slow.}}",
        [("run.left_out.luminol", '"luminol"', "did you mean luminal?", "pytorch-compiled")],
    ),
    "left out without a reason": (
        "run: {left_out: {luminal: ''}}",
        [("run.left_out.luminal", '""', "not empty")],
    ),
    "baseline not run": (
        "run: {rows: [jax, onnxruntime]}",
        [("run.baseline", '"pytorch-eager"', "run.rows", "allowed: jax, onnxruntime")],
    ),
    "no platforms": ("platforms: []", [("platforms", "[]", "at least one")]),
    "platform without a name": (
        "platforms: [{label: x}]",
        [("platforms[0].name", "missing", "a name (letters")],
    ),
    "platform with a space": (
        "platforms: [{name: my box}]",
        [("platforms[0].name", '"my box"', "letters, digits")],
    ),
    "platform that climbs": ("platforms: [{name: ..}]", [("platforms[0].name", '".."', "letters, digits")]),
    "platform with a line end": ('platforms: [{name: "x\\n"}]', [("platforms[0].name", '"x\\n"', "letters")]),
    "platforms alike but for case": (
        "platforms: [{name: Box}, {name: box}]",
        [("platforms[1].name", '"box"', "platforms[0].name", "differ on any file system")],
    ),
    "accelerator": (
        "platforms: [{name: x, accelerator: Cuda}]",
        [("platforms[0].accelerator", '"Cuda"', "`cpu`, `cuda`", "did you mean cuda?")],
    ),
    "accepted without a reason": (
        "accepted: [{row: jax, model: ResNet-50, code: crashed}]",
        [("accepted[0].why", "missing")],
    ),
    "accepted of nobody": (
        "accepted: [{row: jaxx, model: ResNet-5, code: crashed, why: known, platform: locl}]",
        [
            ("accepted[0].row", '"jaxx" is no row', "did you mean jax?"),
            ("accepted[0].model", '"ResNet-5" is no model', "did you mean ResNet-50?"),
            ("accepted[0].platform", '"locl" is no platform', "did you mean local?"),
        ],
    ),
    "accepted in other words": (
        "accepted: [{row: jax, model: ResNet-50, code: It crashes, why: known, tasks: training, task: trainin}]",
        [
            ("accepted[0].code", '"It crashes"', "a reason code"),
            ("accepted[0].tasks", "unknown key", "did you mean task?"),
            ("accepted[0].task", '"trainin"', "`training`"),
        ],
    ),
    "published": ("published: report/publishd", [("published", '"report/publishd"', "a directory")]),
    "misspelt model in an overlay": (
        "models: {ResNet50: {seed: 1}}",
        [("models.ResNet50", "did you mean ResNet-50?", "title, url, definition")],
    ),
    "weights from the hub": (
        "models: {SmolVLA: {weights: hub}}",
        [("models.SmolVLA.weights", '"hub"', "models/checkpoint/action_expert.py", "`seeded`")],
    ),
    "weights from nowhere on the hub": (
        "models: {ResNet-50: {weights: hub, source: {repository: null, revision: null, files: []}}}",
        [
            ("models.ResNet-50.source.repository", "missing", "weights: hub"),
            ("models.ResNet-50.source.revision", "missing", "pin_weights.py"),
            ("models.ResNet-50.source.files", "[]", "config.json"),
        ],
    ),
    "a branch for a revision": (
        "models: {ResNet-50: {source: {revision: main}}}",
        [("models.ResNet-50.source.revision", '"main"', "a commit, 40 hexadecimal digits")],
    ),
    "a repository without its owner": (
        "models: {ResNet-50: {source: {repository: resnet}}}",
        [("models.ResNet-50.source.repository", '"resnet"', "OWNER/NAME")],
    ),
    "a pickle": (
        "models: {ResNet-50: {source: {files: [{name: pytorch_model.bin}, {name: ../model.safetensors}]}}}",
        [
            ("models.ResNet-50.source.files[0].name", '"pytorch_model.bin"', "`.safetensors` or `.json`"),
            ("models.ResNet-50.source.files[1].name", '"../model.safetensors"'),
        ],
    ),
    "a sum that is none": (
        "models: {ResNet-50: {source: {files: [{name: config.json, sha256: abc}]}}}",
        [("models.ResNet-50.source.files[0].sha256", '"abc"', "64 hexadecimal digits")],
    ),
    "half a checkpoint": (
        "models: {ResNet-50: {source: {files: [{name: config.json}]}}}",
        [("models.ResNet-50.source.files", "config.json", "at least one .safetensors")],
    ),
    "a mapping of names that is no pattern": (
        "models: {ResNet-50: {source: {tensors: {'(': null}}}}",
        [("models.ResNet-50.source.tensors", '"("', "no regular expression")],
    ),
    "weights without their path": (
        "models: {ResNet-50: {weights: path}}",
        [("models.ResNet-50.source.path", "missing", "directory")],
    ),
    "weights at a path that is not there": (
        "models: {ResNet-50: {weights: path, source: {path: config}}}",
        [("models.ResNet-50.source.path", '"config"', "config.json")],
    ),
    "weights from nowhere": (
        "models: {SmolVLA: {weights: seed}}",
        [("models.SmolVLA.weights", '"seed"', "`seeded`, `hub`, `auto`, `path`", "did you mean seeded?")],
    ),
    "fill without its step": (
        "models: {SmolVLA: {workload: {target: {fill: sin}}}}",
        [("models.SmolVLA.workload.target.step", "missing", "`sin`")],
    ),
    "fill with another's key": (
        "models: {SmolVLA: {workload: {target: {step: 0.1}}}}",
        [("models.SmolVLA.workload.target.step", "0.1", "not read by fill `zeros`")],
    ),
    "fill with an unknown key": (
        "models: {SmolVLA: {workload: {target: {shap: [1]}}}}",
        [("models.SmolVLA.workload.target.shap", "unknown key", "did you mean shape?")],
    ),
    "too few values": (
        "models: {Whisper-tiny: {workload: {target: {values: [1, 2]}}}}",
        [("models.Whisper-tiny.workload.target.values", "2 values", "shape [4]", "allowed: 4")],
    ),
    "fractional ids": (
        "models: {Whisper-tiny: {workload: {target: {values: [1, 2, 3, 4.5]}}}}",
        [("models.Whisper-tiny.workload.target.values", "4.5", "integers")],
    ),
    "labels that are not integers": (
        "models: {ResNet-50: {workload: {target: {fill: zeros, dtype: float32}}}}",
        [("models.ResNet-50.workload.target.dtype", '"float32"', "cross_entropy", "`int64`")],
    ),
    "inputs that differ in name": (
        "models: {ResNet-50: {workload: {latency: {image: {shape: [1], fill: zeros, dtype: float32}}}}}",
        [("models.ResNet-50.workload.latency", "image, images", "allowed: as inference has, images")],
    ),
    "prompt of several sequences": (
        "models: {SmolLM2-135M: {workload: {decode: {input_ids: {shape: [2, 64]}}}}}",
        [("models.SmolLM2-135M.workload.decode.input_ids.shape", "[2, 64]", "[1, tokens]")],
    ),
    "prompt of fractions": (
        "models: {SmolLM2-135M: {workload: {decode: {input_ids: {fill: zeros, dtype: float32}}}}}",
        [("models.SmolLM2-135M.workload.decode.input_ids.dtype", '"float32"', "`int64`")],
    ),
    "more tokens than positions": (
        "models: {SmolLM2-135M: {workload: {decode: {tokens: 8065}}}}",
        [("models.SmolLM2-135M.workload.decode.tokens", "are 8193", "has 8192 positions")],
    ),
    "one token": (
        "models: {SmolLM2-135M: {workload: {decode: {tokens: 1}}}}",
        [("models.SmolLM2-135M.workload.decode.tokens", "1 is not allowed", "at least 2")],
    ),
    "tolerance that the lane does not have": (
        "gate: {float32: {mean_kl: 0.1}}",
        [("gate.float32.mean_kl", "unknown key", "allowed here: relative_l2")],
    ),
    "noise that widens beyond what is close": (
        "gate: {float32: {close_factor: 2}}",
        [("gate.float32.noise_ceiling", "3 is more than close_factor", "at most 2")],
    ),
    "a rounding that is another lane's": (
        "frameworks: {jax: {rows: {jax-bf16: {label: JAX bfloat16, lane: bfloat16, rounding: float16}}}}",
        [("frameworks.jax.rows.jax-bf16.rounding", '"float16"', "lane bfloat16")],
    ),
    "a rounding that nobody knows": (
        "frameworks: {jax: {rows: {jax-int8: {label: JAX int8, lane: int8, rounding: int8-block}}}}",
        [("frameworks.jax.rows.jax-int8.rounding", "int8-blocks")],
    ),
    "misspelt framework in an overlay": (
        "frameworks: {Jax: {env: jax}}",
        [("frameworks.Jax", "did you mean jax?", "name, url, license, rows")],
    ),
    "row id taken": (
        f"frameworks:\n  x:{FRAMEWORK}    rows: {{JAX: {{label: X}}}}",
        [("frameworks.x.rows.JAX", "taken by frameworks.jax.rows.jax")],
    ),
    "lane": (
        "frameworks: {jax: {rows: {jax: {lane: float_16}}}}",
        [("frameworks.jax.rows.jax.lane", '"float_16"', "`float16`, `int8`", "did you mean float16?")],
    ),
    "row id with a slash": (
        f"frameworks:\n  x:{FRAMEWORK}    rows: {{a/b: {{label: X}}}}",
        [("frameworks.x.rows.a/b", '"a/b"', "letters, digits")],
    ),
    "no rows": (f"frameworks:\n  x:{FRAMEWORK}    rows: {{}}", [("frameworks.x.rows", "{}", "a mapping")]),
    "missing env": (
        "frameworks: {jax: {env: jaxx}}",
        [("frameworks.jax.env", "envs/jaxx.yaml does not exist", "did you mean jax?")],
    ),
    "missing adapter": (
        "frameworks: {jax: {adapter: lib/jaxx.py}}",
        [("frameworks.jax.adapter", "lib/jaxx.py does not exist")],
    ),
    "missing definition": (
        "models: {SmolVLA: {definition: expert}}\nrun: {models: [SmolVLA], rows: [jax], baseline: jax}",
        [
            ("models.SmolVLA.definition", "workflow/scripts/models/spec/expert.py does not exist"),
            (
                "models.SmolVLA.definition",
                "workflow/scripts/frameworks/pytorch/models/expert.py does not exist",
            ),
            (
                "frameworks.jax.definitions",
                "workflow/scripts/frameworks/jax/models/expert.py does not exist",
                "frameworks: {jax: {unsupported: {SmolVLA: {code: unsupported-model, why: It has no …}}}}",
            ),
        ],
    ),
    "export format": (
        "frameworks: {jax: {export: onxx}}",
        [("frameworks.jax.export", '"onxx" is no format', "did you mean onnx?", "allowed: ctranslate2,")],
    ),
    "export format of a row": (
        "frameworks: {onnxruntime: {rows: {onnxruntime-int8: {export: onnx-int4}}}}",
        [
            (
                "frameworks.onnxruntime.rows.onnxruntime-int8.export",
                '"onnx-int4" is no format',
                "did you mean onnx-int8?",
            )
        ],
    ),
    "missing environment of a row's format": (
        "run: {rows: [pytorch-eager, onnxruntime-int8]}\n"
        "frameworks: {onnxruntime: {exports: {onnx-int8: {env: onnxruntime-quantizing}}}}",
        [
            (
                "frameworks.onnxruntime.exports.onnx-int8.env",
                "envs/onnxruntime-quantizing.yaml does not exist",
                "did you mean onnxruntime-quantization?",
            )
        ],
    ),
    "text of a model that reads more": (
        "models: {Whisper-tiny: {workload: {quality: {tokens: a.txt, windows: 1, examples: 0}}}}",
        [("models.Whisper-tiny.workload.quality", "that reads input_ids alone", "[1, tokens]")],
    ),
    "text that is not there": (
        "models: {SmolLM2-135M: {workload: {quality: {tokens: config/text/emma.txt}}}}",
        [("models.SmolLM2-135M.workload.quality.tokens", "emma.txt", "allowed: a file of token ids")],
    ),
    "text that is too short": (
        "models: {SmolLM2-135M: {workload: {quality: {windows: 17}}}}",
        [("models.SmolLM2-135M.workload.quality.tokens", "has 3073 tokens", "at least 3201, for 17 windows")],
    ),
    "text of another vocabulary": (
        "models: {SmolLM2-135M: {architecture: {vocab_size: 100}}}",
        [("models.SmolLM2-135M.workload.quality.tokens", "allowed: below 100, the vocab_size")],
    ),
    "unsupported model": (
        "frameworks: {jax: {unsupported: {SmolVLM: {code: unsupported-model, why: none}}}}",
        [("frameworks.jax.unsupported.SmolVLM", "no model", "did you mean SmolVLA?")],
    ),
    "variable with braces": (
        "frameworks: {jax: {environment: {FLAGS: '--threads={cores}'}}}",
        [("frameworks.jax.environment.FLAGS", "{cores}", "only `threads` or `cache`")],
    ),
    "a row's variable with braces": (
        "frameworks: {jax: {rows: {jax: {label: JAX, environment: {FLAGS: '{cores}'}}}}}",
        [("frameworks.jax.rows.jax.environment.FLAGS", "{cores}", "only `threads` or `cache`")],
    ),
    "everything at once": (
        """
        run: {models: [ResNet50, SmolVLA], baseline: jaxx, rouns: 1}
        platforms: [{name: a b}, {name: c}, {name: C}]
        protocol: {rounds: 0, warmup: {window: 1, max_seconds: 0.1}}
        models: {Resnet-50: {}, SmolVLA: {weights: auto, loss: mae}}
        """,
        [
            ("models.Resnet-50", "did you mean ResNet-50?"),
            ("models.SmolVLA.loss", '"mae"', "did you mean mse?"),
            ("platforms[0].name", '"a b"'),
            ("protocol.rounds", "0"),
            ("protocol.warmup.window", "1", "at least 2"),
            ("run.rouns", "unknown key"),
            ("platforms[2].name", '"C"', "platforms[1].name"),
            ("run.models[0]", "did you mean ResNet-50?"),
            ("run.baseline", "did you mean jax?"),
            ("protocol.warmup.max_seconds", "at least 0.5"),
            ("models.SmolVLA.weights", '"auto"'),
        ],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_config_is_refused_in_words(name):
    overlay, expected = BAD[name]
    with pytest.raises(loader.ConfigError) as caught:
        loader.resolve(yaml.safe_load(overlay), REPOSITORY)
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  - ")]
    for path, *words in expected:
        fitting = [line for line in lines if line.startswith(f"  - {path}: ")]
        assert any(all(word in line for word in words) for line in fitting), (path, words, lines)
    assert len(lines) == len(expected), lines


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("run: {rows: [jax]}\nrun: {models: [ResNet-50]}\n", ("key run is given more than once", "line 1")),
        ("run:\n  rows: [jax]\n  rows: [mlx]\n", ("key rows is given more than once", "line 2")),
        ('{"run": {"rows": ["jax"], "rows": ["mlx"]}}', ("key rows is given more than once",)),
        ("protocol:\n  rounds: 010\n", ("010 would be read as 8", "line 2")),
        ("protocol: {timeout_s: 1:30}\n", ("1:30 would be read as 90", "line 1")),
        ("protocol: {timeout_s: 1:30.5}\n", ("1:30.5 would be read as 90.5",)),
        ("protocol: {seed: 0x10}\n", ("0x10 would be read as 16",)),
        ("a: &a\n  - [*a]\n", ("a[0][0] holds itself",)),
        ("a: &a {b: {c: *a}}\n", ("a.b.c holds itself",)),
        (LAUGHS, ("more than 100000 entries",)),
    ],
)
def test_what_a_file_says_and_yaml_misreads_is_refused(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(loader.ConfigError) as caught:
        loader.check_file(path)
    for word in (str(path), *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "protocol: {rounds: 10, timeout_s: 0.5, seed: 0, label: '010'}\n",
        "a: &a [1, 2]\nb: *a\nc: *a\n",
        '{"run": {"rows": ["jax"]}}',
        "__use_yte__: true\nrun:\n  ?if True:\n    rows: [jax]\n  ?if False:\n    rows: [mlx]\n",
    ],
)
def test_an_ordinary_file_is_taken(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    loader.check_file(path)


def test_an_input_has_a_size_that_a_machine_can_hold():
    user = {"models": {"ResNet-50": {"workload": {"inference": {"images": {"shape": [10**9, 3, 224, 224]}}}}}}
    with pytest.raises(
        loader.ConfigError, match=r"images\.shape: .* 150528000000000 elements; allowed: at most"
    ):
        loader.resolve(user, REPOSITORY)
