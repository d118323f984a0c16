"""Bundles: a sound one reads back as written, any other is refused with the reason."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import edge
from edge.bundle import (
    BUNDLES,
    CHECKSUM_KEY,
    MANIFEST_KEY,
    SCHEMA_VERSION,
    Bundle,
    Manifest,
    load_bundle,
    read_bundle,
    write_bundle,
)
from edge.errors import BundleError
from edge.leads import INDEPENDENT_LEADS, LEADS
from edge.signal.conditioning import Conditioning


class LooseManifest:
    """What `write_bundle` needs of a manifest, with any JSON."""

    def __init__(self, value: object) -> None:
        self._value = value

    def as_json(self) -> str:
        return json.dumps(self._value)


def graph_of(bundle: Bundle) -> bytes:
    """The bundle's ONNX bytes without manifest and checksum."""
    onnx = pytest.importorskip("onnx", reason="reading a graph needs onnx: install '.[test]'")
    model = onnx.load_from_string(bundle.data)
    del model.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))


def signed(manifest: object) -> bytes:
    """A bundle with a right checksum around any manifest."""
    return write_bundle(b"", LooseManifest(manifest))  # type: ignore[arg-type]


def plain(bundle: Bundle) -> dict[str, object]:
    return dict(json.loads(bundle.manifest.as_json()))


def test_round_trip(any_bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(any_bundle.data)
    again = load_bundle(path)
    assert again.manifest == any_bundle.manifest
    assert again.sha256 == any_bundle.sha256
    assert again.path == path
    assert write_bundle(graph_of(again), again.manifest) == any_bundle.data
    changed = dataclasses.replace(
        again.manifest,
        conditioning=Conditioning(mains_hz=None, lowpass_hz=40.0),
        training={"seed": 3, "records": [1, 2]},
        fidelity={"r": 0.9},
        teacher_sha256="ab" * 32,
    )
    assert read_bundle(write_bundle(graph_of(again), changed)).manifest == changed


def test_what_ships_is_sound(shipped_bundle: Bundle) -> None:
    manifest = shipped_bundle.manifest
    assert len(shipped_bundle.data) <= 2_000_000
    assert (manifest.sampling_hz, manifest.hop, manifest.lookahead) == (250.0, 4, 0)
    assert manifest.any_leads and manifest.input_leads == manifest.sigma_leads == LEADS
    assert manifest.output_leads == INDEPENDENT_LEADS
    moments = manifest.moments
    np.testing.assert_allclose(moments, moments.T)
    assert np.linalg.eigvalsh(moments).min() > 0


@pytest.mark.parametrize("which", ["any_bundle", "shipped_bundle"])
def test_onnx_tools_read_it(which: str, request: pytest.FixtureRequest) -> None:
    onnx = pytest.importorskip("onnx", reason="the checker is onnx's: install '.[test]'")
    bundle = request.getfixturevalue(which)
    model = onnx.load_from_string(bundle.data)
    onnx.checker.check_model(model, full_check=True)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert set(entries) == {MANIFEST_KEY, CHECKSUM_KEY}
    assert json.loads(entries[MANIFEST_KEY])["schema_version"] == SCHEMA_VERSION


def test_any_altered_byte_is_refused(any_bundle: Bundle) -> None:
    data = any_bundle.data
    rng = np.random.default_rng(0)
    ends = [*range(40), *range(len(data) - 400, len(data))]
    for position in (*ends, *rng.integers(0, len(data), 300).tolist()):
        altered = bytearray(data)
        altered[position] ^= int(rng.integers(1, 256))
        with pytest.raises(BundleError):
            read_bundle(bytes(altered))


def test_any_truncation_is_refused(any_bundle: Bundle) -> None:
    data = any_bundle.data
    for length in (0, 1, 50, 101, len(data) // 2, len(data) - 101, len(data) - 1):
        with pytest.raises(BundleError, match="truncated or no bundle"):
            read_bundle(data[:length])
        with pytest.raises(BundleError):
            read_bundle(data[length + 1 :])


def test_extra_bytes_are_refused(any_bundle: Bundle) -> None:
    for extra in (b"\0", b"\n", any_bundle.data[:100]):
        with pytest.raises(BundleError):
            read_bundle(any_bundle.data + extra)
    with pytest.raises(BundleError, match="was altered"):
        read_bundle(any_bundle.data + any_bundle.data[-200:])


@pytest.mark.parametrize("schema", [0, 2, "1", None, 1.0, True, [1], 10**400])
def test_another_schema_is_refused(any_bundle: Bundle, schema: object) -> None:
    raw = plain(any_bundle) | {"schema_version": schema}
    with pytest.raises(BundleError, match=r"manifest schema .*, this leadlift reads 1"):
        read_bundle(signed(raw))


ONE = np.ones((8, 8))
NO_EIGHT_LEADS = {
    "nothing": 0 * ONE,
    "one signal": ONE,
    "rank 7": np.diag([0.0, *[1.0] * 7]),
    "hardly anything": 1e-300 * np.eye(8),
    "hardly anything in one lead": np.diag([1e-8, *[1.0] * 7]),
    "leads that are almost one": ONE + 1e-7 * np.eye(8),
    "less than nothing": np.eye(8) - 0.2,
}
"""Symmetric matrices from which no anchor follows, or one that makes tens of mV of one mV."""


@pytest.mark.parametrize("what", NO_EIGHT_LEADS)
def test_moments_without_eight_leads_in_them_are_refused(any_bundle: Bundle, what: str) -> None:
    raw = plain(any_bundle) | {"second_moments": NO_EIGHT_LEADS[what].tolist()}
    with pytest.raises(BundleError, match="second_moments are those of no eight leads"):
        read_bundle(signed(raw))


DEEP, DIGITS = "[" * 50_000 + "]" * 50_000, "9" * 400
IMPOSSIBLE: dict[str, tuple[str, ...]] = {
    "name": ("7", '""', '"two\\nlines"', "null"),
    "sampling_hz": ("0", "-250", "null", '"250"', "1e308", "NaN", "Infinity", "true", DIGITS),
    "hop": ("0", "-4", "4.5", '"four"', "1e9", "1000000000", "true", "[4]", "{}", DIGITS, DEEP),
    "lookahead": ("-5", "1000000000000", "0.5", "null", DIGITS),
    "receptive_field": ("0", '"long"', DIGITS),
    "input_leads": ("3", "[]", '"II"', '["II", "II"]', '["II", "V1", "aVR"]', '[["II"]]', "[null]"),
    "output_leads": ("{}", '["I"]', '["I", "I", "V2", "V3", "V4"]', '["I", "V2", "V3", "V4", {}]'),
    "states": ("[]", "{}", '[{"input": "state_0"}]', '["state_0"]', "null"),
    "states.0.input": ("7", '""', '"state_1"'),
    "states.0.shape": ("[1000000, 1000000]", "[-1]", "[]", "4", "[0.5]", f"[{DIGITS}]", "[[1]]"),
    "states.0.dtype": ('"object"', '"float64"', "8", "null", '["uint8"]'),
    "conditioning": ("null", "[]", "{}", '{"highpass": 1}'),
    "conditioning.highpass_hz": ('"x"', "0", "-1", "125", "1e-300", "NaN", "null", DIGITS),
    "conditioning.mains_hz": ("0", "200", "Infinity", '"50"'),
    "conditioning.mains_q": ('"x"', "0", "-25", "1e300", "NaN"),
    "conditioning.lowpass_hz": ("1000", "false", "[40]"),
    "conditioning.residual_highpass_hz": ("null", "0", "[]", DIGITS),
    "second_moments": ("null", "[[1.0]]", "[[1.0], [1.0, 2.0]]", "[[{}]]", "{}", DEEP),
    "second_moments.0.0": ("NaN", "-Infinity", '"one"', "{}", "-1e3", "1e300", DIGITS),
    "second_moments.0.1": ("9.0",),  # not symmetric
    "training": ("3", "[]", '"seed"'),
    "teacher_sha256": ("7", '"ab"', "[]"),
}
"""Where in the manifest -> JSON texts that cannot stand there."""


def with_text(manifest: dict[str, object], where: str, text: str) -> str:
    """The manifest as JSON with this text at `where`."""
    at: object = manifest
    *path, last = (int(part) if part.isdigit() else part for part in where.split("."))
    for part in path:
        at = at[part]  # type: ignore[index]
    at[last] = "here"  # type: ignore[index]
    return json.dumps(manifest).replace('"here"', text)


@pytest.mark.parametrize(
    ("where", "text"), [(where, text) for where, texts in IMPOSSIBLE.items() for text in texts]
)
def test_an_impossible_manifest_is_refused_in_one_line(
    any_bundle: Bundle, where: str, text: str
) -> None:
    class Text:
        def as_json(self) -> str:
            return with_text(plain(any_bundle), where, text)

    with pytest.raises(BundleError) as refused:
        read_bundle(write_bundle(b"", Text()))  # type: ignore[arg-type]
    said = str(refused.value)
    assert said.startswith("the bundle has a manifest that cannot be: ")
    assert "\n" not in said and len(said) < 400
    if text != DEEP:  # that is no JSON at all
        assert (
            where.split(".")[0] in said or "corner" in said or "leads" in said or "states" in said
        )


@pytest.mark.parametrize(
    "key", ["name", "hop", "states", "conditioning", "second_moments", "input_leads"]
)
def test_a_manifest_must_be_an_object_and_whole(any_bundle: Bundle, key: str) -> None:
    with pytest.raises(BundleError, match="holds no object"):
        read_bundle(signed([1, 2]))
    without = plain(any_bundle)
    del without[key]
    with pytest.raises(BundleError, match=f"lacks {key}"):
        read_bundle(signed(without))


def test_a_manifest_that_is_of_another_graph_is_refused(any_bundle: Bundle) -> None:
    from edge.engines.onnxruntime_engine import OnnxRuntimeEngine

    m = any_bundle.manifest
    first = m.states[0]
    for change in (
        {"hop": 8},
        {"states": m.states[1:]},
        {"states": (dataclasses.replace(first, shape=(1, 2, 3)), *m.states[1:])},
        {"states": (dataclasses.replace(first, dtype="int8"), *m.states[1:])},
        {"states": (dataclasses.replace(first, input="other"), *m.states[1:])},
        {"input_leads": m.input_leads[:2], "output_leads": (*m.output_leads, m.input_leads[2])},
    ):
        other = Bundle(any_bundle.data, dataclasses.replace(m, **change))  # type: ignore[arg-type]
        with pytest.raises(BundleError, match=r"does not fit its manifest: (input|output) "):
            OnnxRuntimeEngine(other)


def test_a_signed_file_without_manifest_or_that_is_no_onnx_is_refused(any_bundle: Bundle) -> None:
    from edge.bundle import _metadata_entry

    def sign(body: bytes) -> bytes:
        import hashlib

        return body + _metadata_entry(CHECKSUM_KEY, hashlib.sha256(body).hexdigest())

    assert read_bundle(sign(any_bundle.data)).manifest == any_bundle.manifest  # `sign` signs
    with pytest.raises(BundleError, match="has no manifest"):
        read_bundle(sign(b""))
    with pytest.raises(BundleError, match="has no manifest"):
        read_bundle(sign(graph_of(any_bundle)))
    for body in (b"\xff", b"\x0b\x01", b"PK\x03\x04 a zip file", b"\x72\x04\x0a\x02\xff\xff"):
        with pytest.raises(BundleError, match=r"no ONNX file|has no manifest"):
            read_bundle(sign(body))


def test_unknown_manifest_keys_of_the_same_schema_are_passed_over(any_bundle: Bundle) -> None:
    read = read_bundle(signed(plain(any_bundle) | {"a_later_addition": 1}))
    assert read.manifest == any_bundle.manifest


def test_what_ships_besides_opens_by_its_name() -> None:
    default = load_bundle()
    for name, path in BUNDLES.items():
        bundle = load_bundle(name)
        assert (bundle.path, bundle.manifest.name) == (path, f"leadlift-{name}")
        assert bundle.manifest.any_leads and bundle.manifest.hop == default.manifest.hop
        assert len(bundle.data) < 0.4 * len(default.data)


def test_paths_that_hold_no_bundle_are_one_line_errors(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read the model .*nowhere.onnx: No such file"):
        load_bundle(tmp_path / "nowhere.onnx")
    with pytest.raises(BundleError, match=r"cannot read the model .*: Is a directory"):
        load_bundle(tmp_path)
    with pytest.raises(BundleError, match=r"cannot read the model .*null"):
        load_bundle("model\0.onnx")
    with pytest.raises(BundleError, match="is a device or a pipe"):
        load_bundle("/dev/zero")
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    with pytest.raises(BundleError, match=r"text.onnx has no leadlift checksum") as caught:
        load_bundle(text)
    assert "\n" not in str(caught.value)


def test_a_file_too_large_to_be_a_bundle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate((256 << 20) + 1)  # sparse: takes no space
    with pytest.raises(BundleError, match="over 256 MB"):
        load_bundle(path)


def test_edge_never_unpickles() -> None:
    root = Path(edge.__file__).parent
    loaders = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not loaders & {alias.name.split(".")[0] for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in loaders, path
            elif isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                assert call not in ("torch.load", "eval", "exec"), path
                for keyword in node.keywords:
                    if keyword.arg == "allow_pickle":
                        assert ast.unparse(keyword.value) == "False", path


def test_a_manifest_is_a_frozen_value(any_bundle: Bundle) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        any_bundle.manifest.hop = 8  # type: ignore[misc]
    assert isinstance(any_bundle.manifest, Manifest)
