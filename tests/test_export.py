"""Networks that run without this package: every family, in processes that cannot import it."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from test_families import OF_FAMILY, spec_of
from thresholds import calibration
from toy import toy_variables, toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import decode
from dpeformer_jax.checkpoint.weights import Weights, save_weights
from dpeformer_jax.export import artefact
from dpeformer_jax.export.artefact import export
from dpeformer_jax.export.resizing import resized
from dpeformer_jax.model.families import FAMILIES
from dpeformer_jax.retrieval.calibration import write_calibration

ROOT = Path(__file__).parents[1]
FORMATS = ("stablehlo", "onnx")
SIZES = {"own": (64, 32), "other": (90, 41)}
# Runs the artefacts of all families on pictures of two sizes, alone and three at a time.
RUNNERS = {
    "stablehlo": """
import sys; sys.modules.update(dict.fromkeys(["dpeformer_jax", "flax", "orbax", "onnxruntime"]))
import jax, numpy as np
def load(folder):
    network = jax.export.deserialize(bytearray(open(f"{folder}/network.stablehlo", "rb").read()))
    weights = dict(np.load(f"{folder}/weights.npz"))
    return lambda *given: network.call(weights, *given)
""",
    "onnx": """
import sys; sys.modules.update(dict.fromkeys(["dpeformer_jax", "flax", "jax", "jax2onnx", "onnx"]))
import numpy as np, onnxruntime
def load(folder):
    session = onnxruntime.InferenceSession(f"{folder}/network.onnx")
    names = [given.name for given in session.get_inputs()]
    outputs = [found.name for found in session.get_outputs()]
    return lambda *given: dict(zip(outputs, session.run(None, dict(zip(names, given)))))
""",
}
RUN = """
pictures = np.load(sys.argv[1])
for folder in sys.argv[2:]:
    run, found = load(folder), {}
    rows = [np.array([1, 0, 1], np.int32)] if "transreid" in folder else []
    for size in ("own", "other"):
        for count in (1, 3):
            for name, x in run(pictures[size][:count], *(row[:count] for row in rows)).items():
                found[f"{size} {count} {name}"] = np.asarray(x)
    np.savez(f"{folder}/found.npz", **found)
"""


@pytest.mark.parametrize("size", [(64, 32), (256, 128), (100, 37), (30, 50), (400, 151), (20, 90)])
def test_pictures_are_resized_as_pillow_does(size):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for target in ((64, 32), (256, 128)):
        expected = decode(noise, target).astype(int)
        found = np.asarray(jax.jit(resized, static_argnums=1)(noise[None], target))[0]
        assert np.abs(found - expected).max() <= 1
        assert (found != expected).mean() < 1e-3
        if size == target:
            np.testing.assert_array_equal(found, noise)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A checkpoint of each family; TransReID's embeds two cameras."""
    folder = tmp_path_factory.mktemp("networks")
    for family in FAMILIES:
        cameras = {"sie_rows": 2, "cameras": (("toy", 1), ("toy", 2))}
        spec = spec_of(family, **(cameras if family == "transreid" else {}))
        save_weights(folder / family, Weights(folder, spec, toy_variables(spec), None))
    return folder


@pytest.fixture(scope="module")
def exported(networks, tmp_path_factory):
    """The artefacts of all families, FORMAT/FAMILY, and their descriptions."""
    folder = tmp_path_factory.mktemp("exported")
    for form in FORMATS:
        (folder / form).mkdir()
    told = {
        (form, family): export(networks / family, folder / form / family, form)
        for form in FORMATS
        for family in FAMILIES
    }
    return folder, told


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    np.savez(
        path, **{n: rng.integers(0, 256, (3, *size, 3), np.uint8) for n, size in SIZES.items()}
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_every_family_runs_elsewhere_as_here(networks, exported, pictures, form):
    folder, told = exported
    folders = [str(folder / form / family) for family in FAMILIES]
    line = [sys.executable, "-I", "-c", RUNNERS[form] + RUN, str(pictures), *folders]
    subprocess.run(line, check=True, cwd=folder)
    given = np.load(pictures)
    for family in FAMILIES:
        extractor, found = (
            Extractor.load(networks / family),
            np.load(folder / form / family / "found.npz"),
        )
        rows = [1, 0, 1] if family == "transreid" else None
        for size in SIZES:
            expected = extractor([*given[size]], rows)
            for name, values in expected.items():
                for count in (1, 3):
                    own = found[f"{size} {count} {name}"]
                    if name == "selected":
                        np.testing.assert_array_equal(own, values[:count])
                    else:
                        np.testing.assert_allclose(own, values[:count], atol=1e-4, rtol=0)
        assert told[form, family]["features"] == extractor.widths


@pytest.mark.slow
def test_the_description_tells_what_a_program_must_know(networks, exported):
    folder, told = exported
    for (form, family), of in told.items():
        assert json.loads((folder / form / family / "export.json").read_text()) == of
        assert max(of["difference"]["features"].values()) <= 1e-4
        assert of["compare_by"] == ("concat" if family == "dpeformer" else "after")
        assert of["weights"] == Extractor.load(networks / family).fingerprint
        assert (
            set(of["files"])
            == {
                "onnx": {"network.onnx"},
                "stablehlo": {"network.stablehlo", "weights.npz"},
            }[form]
        )
    transreid = told["onnx", "transreid"]["input"]
    assert transreid["camera_row"] == [["toy", 1], ["toy", 2]]
    assert told["onnx", "dpeformer"]["input"]["images"]["size"] == "any"
    assert OF_FAMILY  # the families' own variants are used


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_the_examples_serve_an_artefact(networks, tmp_path, write_image, form):
    network = networks / "dpeformer"
    extractor = Extractor.load(network)
    write_calibration(network, calibration(extractor.fingerprint, (3.9, 1e-9, 0)))
    options = {"fixed_size": True, "opset": 17} if form == "onnx" else {}
    told = export(network, tmp_path / "served", form, **options)
    (network / "calibration.json").unlink()
    assert [of["far"] for of in told["thresholds"]] == [0.01, 0.001]
    paths = [write_image(tmp_path / f"{name}.png", (41, 90)) for name in "ab"]
    script = ROOT / f"docs/examples/serve_{form}.py"
    assert len(script.read_text().splitlines()) <= 60
    line = [sys.executable, "-I", str(script), str(tmp_path / "served"), *map(str, paths)]
    result = subprocess.run(line, capture_output=True, text=True, check=True, cwd=tmp_path)
    one, other = extractor(paths)["concat"]
    words = f"{paths[0]} {paths[1]}: distance {((one - other) ** 2).sum():.4f}"
    assert f"{words}, the same person at a false-accept rate of 0.01" in result.stdout
    kept = extractor(paths)["selected"].sum(axis=1)
    assert f"{paths[0]}: {kept[0]} of 32 patches kept" in result.stdout


@pytest.mark.slow
def test_a_network_in_bfloat16_is_exported_in_float32(tmp_path):
    save_weights(tmp_path / "network", toy_weights(dtype="bfloat16"))
    told = export(tmp_path / "network", tmp_path / "exported", "stablehlo")
    assert told["computed_in"] == {"export": "float32", "checkpoint": "bfloat16"}
    assert max(told["difference"]["features"].values()) <= 1e-4


@pytest.fixture
def network(tmp_path):
    save_weights(tmp_path / "network", toy_weights())
    return tmp_path / "network"


def test_an_export_that_differs_is_not_written(network, tmp_path, monkeypatch):
    wrong = {"features": {"holistic": 1e-5, "concat": 2e-4}, "kept": 0, "resized": None}
    monkeypatch.setattr(artefact, "measured", lambda *_: wrong)
    with pytest.raises(UserError, match=r"differs from the checkpoint \(concat by 0.0002\)"):
        export(network, tmp_path / "exported", "stablehlo")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network"]
    wrong["features"]["concat"] = float("nan")
    with pytest.raises(UserError, match="concat by nan"):
        export(network, tmp_path / "exported", "stablehlo")


@pytest.mark.parametrize(
    ("form", "options", "words"),
    [
        ("torch", {}, "'torch' is not one of stablehlo, onnx"),
        ("stablehlo", {"opset": 20}, "--opset=20 is for --format onnx"),
        ("onnx", {"opset": 9}, "--opset=9 is not one of 17 to 23"),
        ("onnx", {"opset": 0}, "--opset=0 is not one of 17 to 23"),
    ],
)
def test_what_cannot_be_exported_is_refused(network, tmp_path, form, options, words):
    with pytest.raises(UserError, match=words):
        export(network, tmp_path / "exported", form, **options)
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="exists already"):
        export(network, tmp_path / "there", "onnx")


def test_only_an_export_is_replaced(network, tmp_path):
    """A folder of pictures, the checkpoint itself, a file and a link stay."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.jpg").write_bytes(b"picture")
    (tmp_path / "link").symlink_to(tmp_path / "pictures")
    before = sorted(tmp_path.rglob("*"))
    for name in ("pictures", "network", "pictures/a.jpg", "link"):
        with pytest.raises(UserError, match="holds no export, so it is not replaced"):
            export(network, tmp_path / name, "stablehlo", overwrite=True)
    with pytest.raises(UserError, match="is not a folder; make it first"):
        export(network, tmp_path / "pictures/a.jpg/new", "stablehlo")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_network_that_mixes_a_batch_is_refused(tmp_path):
    save_weights(tmp_path / "network", toy_weights(pooling="batch"))
    with pytest.raises(UserError, match="depend on the other pictures of a batch"):
        export(tmp_path / "network", tmp_path / "exported", "onnx")
