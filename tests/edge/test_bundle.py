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
from edge.leads import INPUT_LEADS, RECONSTRUCTED_LEADS
from edge.signal.conditioning import Conditioning


class LooseManifest:
    """What `write_bundle` needs of a manifest, with any JSON."""

    def __init__(self, value: object) -> None:
        self._value = value

    def as_json(self) -> str:
        return json.dumps(self._value)


def graph_of(bundle: Bundle) -> bytes:
    """The bundle's ONNX bytes without manifest and checksum."""
    onnx = pytest.importorskip("onnx", reason="reading a graph needs onnx: install leadlift[test]")
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
    assert manifest.input_leads == INPUT_LEADS
    assert manifest.output_leads == RECONSTRUCTED_LEADS
    moments = manifest.moments
    np.testing.assert_allclose(moments, moments.T)
    assert np.linalg.eigvalsh(moments).min() > 0


@pytest.mark.parametrize("which", ["any_bundle", "shipped_bundle"])
def test_onnx_tools_read_it(which: str, request: pytest.FixtureRequest) -> None:
    onnx = pytest.importorskip("onnx", reason="the checker is onnx's: install leadlift[test]")
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


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_refused(any_bundle: Bundle, schema: object) -> None:
    raw = plain(any_bundle) | {"schema_version": schema}
    with pytest.raises(BundleError, match=f"manifest schema {schema!r}, this leadlift reads 1"):
        read_bundle(signed(raw))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hop": 0}, "impossible"),
        ({"hop": "four"}, "does not parse"),
        ({"sampling_hz": -250.0}, "impossible"),
        ({"sampling_hz": None}, "does not parse"),
        ({"input_leads": ["II", "V1", "aVR"]}, "impossible"),
        ({"input_leads": 3}, "does not parse"),
        ({"states": [{"input": "state_0"}]}, "does not parse"),
        ({"conditioning": {"highpass": 1}}, "does not parse"),
        ({"second_moments": [[1.0]]}, r"shape \(1, 1\), not finite \(8, 8\)"),
        ({"second_moments": [[float("nan")] * 8] * 8}, "not finite"),
        ({"second_moments": [[1.0], [1.0, 2.0]]}, "does not parse"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    any_bundle: Bundle, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(BundleError, match=reason):
        read_bundle(signed(plain(any_bundle) | change))


def test_a_manifest_must_be_there_and_be_an_object(any_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="does not parse"):
        read_bundle(signed([1, 2]))
    without = plain(any_bundle)
    del without["hop"]
    with pytest.raises(BundleError, match="does not parse"):
        read_bundle(signed(without))


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


def test_paths_that_hold_no_bundle_are_one_line_errors(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read the model .*nowhere.onnx: No such file"):
        load_bundle(tmp_path / "nowhere.onnx")
    with pytest.raises(BundleError, match=r"cannot read the model .*: Is a directory"):
        load_bundle(tmp_path)
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
