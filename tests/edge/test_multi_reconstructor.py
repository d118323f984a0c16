"""Many patients on one engine: each gets the bits of a Reconstructor of its own, whoever else is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge
from edge.bundle import Bundle
from edge.calibrate.fit import calibrate
from edge.engines.base import Engine
from edge.engines.registry import open_engine
from edge.errors import EngineError, InputError, PatientError
from edge.leads import LEADS
from edge.multi_reconstructor import MultiReconstructor
from edge.patient.patient import Patient
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from edge.signal import side_by_side
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.references import twelve_leads
from tests.edge.signals import joined

SLOTS = 5
N = 1400
SETS = [("II", "V1", "V5")] * 4 + [("I", "II"), ("aVL", "V2"), ("V3",)]


@pytest.fixture(scope="module")
def engine(shipped_bundle: Bundle) -> Iterator[Engine]:
    with open_engine(shipped_bundle, "onnxruntime").engine as opened:
        yield opened


@pytest.fixture(scope="module")
def calibration(engine: Engine) -> Patient:
    return calibrate(Reconstructor(engine, leads=SETS[0]), twelve_leads(), 250.0, LEADS)


def signal(leads: tuple[str, ...], seed: int, faults: int) -> np.ndarray:
    """Simulated leads with what happens on a ward, (n_leads, N) mV."""
    x = EcgSimulator(250.0, 60 + 5 * seed, baseline_mv=0.1, muscle_mv=0.01, seed=seed).read(N)
    x = x[[LEADS.index(lead) for lead in leads]]
    rng = np.random.default_rng(seed)
    for _ in range(faults):
        row, at = x[rng.integers(len(x))], rng.integers(N)
        match rng.integers(5):
            case 0:
                row[at : at + rng.integers(1, 90)] = np.nan
            case 1:
                x[:, at : at + 60] = np.nan
            case 2:
                row[at:] += 300.0
            case 3:
                row[at : at + 700] = row[at]
            case _:
                row[at : at + 400] += rng.normal(0, 0.5, len(row[at : at + 400]))
    return x


@dataclass
class Stream:
    """One patient's stay: what was pushed and skipped, and what came out."""

    leads: tuple[str, ...]
    patient: Patient | None
    x: np.ndarray
    at: int = 0
    done: list[tuple[str, int, int]] = field(default_factory=list)
    blocks: list[TwelveLeadBlock] = field(default_factory=list)

    def alone(self, engine: Engine) -> list[TwelveLeadBlock]:
        """The same to a Reconstructor, hop by hop."""
        r = Reconstructor(engine, leads=self.leads, patient=self.patient)
        blocks = []
        for what, first, last in self.done:
            if what == "skip":
                r.skip(last)
            elif what == "reset":
                r.reset()
            else:
                # Sample by sample: no push completes more than one hop.
                blocks += [r.push(self.x[:, i : i + 1]) for i in range(first, last)]
        return blocks


def equal(ours: list[TwelveLeadBlock], alone: list[TwelveLeadBlock]) -> None:
    ours, alone = ([b for b in blocks if b.n_samples] for blocks in (ours, alone))
    assert sum(b.n_samples for b in ours) == sum(b.n_samples for b in alone)
    for name in ("ecg_mv", "sigma_mv", "quality"):
        one, other = (
            np.concatenate([getattr(b, name) for b in blocks] or [np.empty((12, 0))], 1)
            for blocks in (ours, alone)
        )
        assert one.tobytes() == other.tobytes(), name
    starts = {b.first_sample for b in alone}
    assert all(b.first_sample in starts for b in ours)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_each_patient_gets_the_bits_of_a_reconstructor_alone(
    engine: Engine, calibration: Patient, data: Any
) -> None:
    multi = MultiReconstructor(engine, SLOTS)
    here: dict[str, Stream] = {}
    gone: list[Stream] = []
    for tick in range(data.draw(st.integers(5, 60))):
        what = data.draw(st.sampled_from(["push"] * 12 + ["join"] * 4 + ["leave", "skip", "reset"]))
        if (what == "join" or not here) and len(here) < SLOTS:
            leads = data.draw(st.sampled_from(SETS))
            patient = calibration if leads == SETS[0] and data.draw(st.booleans()) else None
            x = signal(leads, data.draw(st.integers(0, 9)), data.draw(st.integers(0, 4)))
            here[f"bed-{tick}"] = Stream(leads, patient, x)
            multi.join(f"bed-{tick}", leads, patient)
        if what in ("leave", "skip", "reset") and here:
            name = data.draw(st.sampled_from(sorted(here)))
            if what == "leave":
                multi.leave(name)
                gone.append(here.pop(name))
            elif what == "skip":
                multi.skip(name, 37)
                here[name].done.append(("skip", 0, 37))
            else:
                multi.reset(name)
                here[name].done.append(("reset", 0, 0))
        now = data.draw(st.lists(st.sampled_from(sorted(here)), unique=True)) if here else []
        size = data.draw(st.sampled_from([4, 4, 4, 1, 7, 40, 200]))
        given = {}
        for name in now:
            s = here[name]
            given[name] = s.x[:, s.at : s.at + size]
            s.done.append(("push", s.at, s.at + given[name].shape[1]))
            s.at += given[name].shape[1]
        for name, block in multi.push(given).items():
            here[name].blocks.append(block)
    for stream in (*gone, *here.values()):
        equal(stream.blocks, stream.alone(engine))


def ward_in_step(
    engine: Engine, leads: tuple[str, ...], patients: list[Patient | None], n: int = 1200
) -> MultiReconstructor:
    """Many beds with the same leads, who came one hop after another: a hop of each at once."""
    multi = MultiReconstructor(engine, len(patients))
    streams = {}
    for i, patient in enumerate(patients):
        streams[f"bed-{i}"] = Stream(leads, patient, signal(leads, i, i % 3)[:, : n + 4 * i])
        multi.join(f"bed-{i}", leads, patient)
    last = len(patients) - 1
    for at in range(-4 * last, n, 4):
        here = {name: s for i, (name, s) in enumerate(streams.items()) if at + 4 * i >= 0}
        for name, block in multi.push(
            {k: s.x[:, s.at : s.at + 4] for k, s in here.items()}
        ).items():
            streams[name].blocks.append(block)
        for s in here.values():
            s.done.append(("push", s.at, s.at + 4))
            s.at += 4
    for i, stream in enumerate(streams.values()):
        assert joined(stream.blocks).n_samples == n + 4 * i
        equal(stream.blocks, stream.alone(engine))
    return multi


def side_by_side_in(multi: MultiReconstructor) -> int:
    """How many of its patients the groups work on as one."""
    return sum(slot.member.taken for slot in multi._taken.values())


def skip_where_streams_go_one_by_one(multi: MultiReconstructor) -> None:
    """Not a fault: the blocks have been compared, and are each stream's own."""
    if not any(slot.group._conditioners.stands_alone for slot in multi._taken.values()):
        assert not side_by_side_in(multi)
        pytest.skip("NumPy's BLAS sums in another order for more columns on this processor")


def test_a_ward_in_step(engine: Engine) -> None:
    """The usual case."""
    multi = ward_in_step(engine, SETS[0], [None] * 16)
    skip_where_streams_go_one_by_one(multi)
    assert side_by_side_in(multi) >= 5  # the others have faults


@pytest.mark.parametrize("slots", [3, 5, 6, 7, 11])
def test_a_ward_of_any_number_of_slots(engine: Engine, slots: int) -> None:
    """All of them taken, and no power of two."""
    ward_in_step(engine, SETS[0], [None] * slots)


def test_a_ward_on_the_compiled_engine(shipped_bundle: Bundle) -> None:
    """More streams than go through a layer together."""
    try:
        compiled = open_engine(shipped_bundle, "c").engine
    except EngineError as error:
        pytest.skip(str(error))
    with compiled:
        ward_in_step(compiled, SETS[0], [None] * 18, 200)


def test_a_ward_of_the_calibrated_and_others(engine: Engine, calibration: Patient) -> None:
    multi = ward_in_step(engine, SETS[0], [calibration, None, calibration, None], 1200)
    skip_where_streams_go_one_by_one(multi)
    assert side_by_side_in(multi) >= 1


@pytest.mark.parametrize("leads", [("aVL",), ("V3", "III")])
def test_a_ward_whose_maps_add_more_than_two_leads(engine: Engine, leads: tuple[str, ...]) -> None:
    ward_in_step(engine, leads, [None] * 4, 800)


def test_a_product_whose_columns_do_not_stand_alone_is_made_one_by_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine's linear algebra may sum in another order for more columns."""
    with monkeypatch.context() as patched:
        patched.setattr(side_by_side, "_filters_stand_alone", lambda *shapes: False)
        assert not side_by_side_in(ward_in_step(engine, SETS[0], [None] * 4, 400))
    monkeypatch.setattr(side_by_side, "_stands_alone", lambda *shapes: False)
    multi = ward_in_step(engine, SETS[0], [None] * 8, 800)
    skip_where_streams_go_one_by_one(multi)
    assert side_by_side_in(multi)


def test_quality_and_valid_are_of_each_patient(engine: Engine) -> None:
    multi, x = MultiReconstructor(engine, 2), signal(SETS[0], 1, 0)
    multi.join("a")
    multi.join("b")
    multi.push({"a": x[:, :1000], "b": x[:, :1000]})
    clipped = np.full((3, 4), edge.Quality.CLIPPED, np.uint8)
    at = x[:, 1000:1004]
    blocks = multi.push(
        {"a": at, "b": at}, valid={"b": np.array([[True], [False], [True]])}, quality={"a": clipped}
    )
    assert (blocks["a"].quality == edge.Quality.CLIPPED).all()
    assert (blocks["b"].quality[LEADS.index("V1")] == edge.Quality.INTERPOLATED).all()


def test_look_ahead_is_of_each_patient(tiny_bundle: Bundle) -> None:
    from dataclasses import replace

    bundle = Bundle(tiny_bundle.data, replace(tiny_bundle.manifest, lookahead=20))
    x = signal(SETS[0], 2, 2)
    with MultiReconstructor.open(bundle, "onnxruntime", slots=2) as multi:
        multi.join("a")
        multi.join("b")
        multi.push({"b": x[:, :100]})
        ours = [multi.push({"a": x[:, :1003]})["a"], multi.flush("a"), multi.flush("b")]
    with Reconstructor.open(bundle, "onnxruntime") as r:
        alone = [r.push(x[:, i : i + 1]) for i in range(1003)]
        tail = r.flush()
    equal(ours[:1], alone)
    assert ours[1].first_sample == tail.first_sample
    np.testing.assert_allclose(ours[1].ecg_mv, tail.ecg_mv, atol=1e-5)  # `flush` pushes many hops
    assert ours[2].n_samples == 20


def test_bad_input_is_said_in_a_line_and_nothing_is_taken(
    engine: Engine, calibration: Patient
) -> None:
    multi = MultiReconstructor(engine, 1)
    with pytest.raises(InputError, match="'bed-1' has not joined: `join` first; here now: nobody"):
        multi.push({"bed-1": np.zeros((3, 4))})
    with pytest.raises(PatientError, match="is for leads II, V1, V5, not I"):
        multi.join("bed-1", ("I",), calibration)
    with pytest.raises(InputError, match="unknown lead"):
        multi.join("bed-1", ("X",))
    multi.join("bed-1")
    with pytest.raises(InputError, match="'bed-1' has joined already"):
        multi.join("bed-1", ("I",))
    with pytest.raises(InputError, match="all 1 slots are taken"):
        multi.join("bed-2")
    x = signal(SETS[0], 1, 0)
    with pytest.raises(InputError, match="'bed-2' has not joined"):
        multi.push({"bed-1": x, "bed-2": x})
    for bad, why in ((x[:2], r"bed-1: expected \(3, n\)"), (["a"], "bed-1: expected an array")):
        with pytest.raises(InputError, match=why):
            multi.push({"bed-1": bad})
    with pytest.raises(InputError, match="bed-1: `valid` has shape"):
        multi.push({"bed-1": x}, valid={"bed-1": np.ones((2, 7), bool)})
    with pytest.raises(InputError, match="samples of 'bed-9' are missing"):
        multi.push({"bed-1": x}, valid={"bed-9": True})
    with pytest.raises(InputError, match="cannot skip"):
        multi.skip("bed-1", -1)
    assert multi.push({"bed-1": x[:, :4]})["bed-1"].first_sample == 0
    multi.leave("bed-1")
    with pytest.raises(InputError, match="has not joined"):
        multi.leave("bed-1")
    multi.join("bed-2", ("I", "II"))
    assert multi.patients == ("bed-2",)
    assert multi.leads("bed-2") == ("I", "II")


@pytest.mark.parametrize("slots", [0, -1])
def test_no_slot_is_no_batch(slots: int) -> None:
    with pytest.raises(InputError, match="give one or more"):
        edge.MultiReconstructor.open(engine="onnxruntime", slots=slots)
