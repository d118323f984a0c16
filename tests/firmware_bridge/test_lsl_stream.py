"""The decoder of LSL streams, without liblsl: labels, units, formats, time, gaps, and damage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.devices.lsl_description import Asked, parse
from firmware_bridge.devices.lsl_stream import (
    LslDecoder,
    clock_frame,
    description_frame,
    samples_frame,
)
from firmware_bridge.errors import PeerError, SourceSpecError
from firmware_bridge.events import (
    Corrupt,
    Event,
    Gap,
    LeadOffChanged,
    Notice,
    RateSource,
    Samples,
    StreamInfo,
)
from firmware_bridge.source import open_source

S = 1_000_000_000


def xml(
    labels: Sequence[str] = ("II", "V1", "V5"),
    units: Sequence[str] = ("microvolts",),
    *,
    hz: float = 250.0,
    kind: str = "float32",
    uid: str = "u1",
    more: str = "",
    channel_more: Sequence[str] = ("",),
    n: int | None = None,
) -> str:
    channels = "".join(
        f"<channel><label>{label}</label><unit>{units[i % len(units)]}</unit>"
        f"{channel_more[i % len(channel_more)]}</channel>"
        for i, label in enumerate(labels)
    )
    return (
        f'<?xml version="1.0"?><info><name>ecg</name><type>ECG</type><uid>{uid}</uid>'
        f"<channel_count>{len(labels) if n is None else n}</channel_count><nominal_srate>{hz}</nominal_srate>"
        f"<channel_format>{kind}</channel_format><desc>{more}<channels>{channels}</channels></desc></info>"
    )


def stamps(n: int, start_s: float = 50.0, hz: float = 250.0) -> NDArray[np.float64]:
    return start_s + np.arange(n) / hz


def stream(
    values: NDArray[np.generic], text: str, start_s: float = 50.0, correction_s: float = 0.0
) -> bytes:
    pieces = [description_frame(text), clock_frame(correction_s)]
    for i in range(0, len(values), 10):
        part = values[i : i + 10]
        pieces.append(samples_frame(stamps(len(part), start_s + i / 250), part))
    return b"".join(pieces)


def of(events: Sequence[Event], kind: type) -> list:  # type: ignore[type-arg]
    return [event for event in events if isinstance(event, kind)]


def millivolts(events: Sequence[Event]) -> NDArray[np.float64]:
    counts = np.concatenate([event.counts for event in of(events, Samples)], axis=1)
    return counts * 1e-6


def ramp(n: int, n_channels: int = 3, kind: str = "f4") -> NDArray[np.generic]:
    return (np.arange(n)[:, None] % 97 + 100 * np.arange(n_channels)).astype(kind)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("float32", "f4"), ("double64", "f8"), ("int16", "i2"), ("int32", "i4"), ("int64", "i8")],
)
@pytest.mark.parametrize(
    ("unit", "mv"),
    [
        ("uV", 1e-3),
        ("microvolts", 1e-3),
        ("mV", 1.0),
        ("millivolts", 1.0),
        ("V", 1e3),
        ("-6", 1e-3),
    ],
)
def test_formats_and_units_come_out_in_millivolts(
    kind: str, dtype: str, unit: str, mv: float
) -> None:
    values = ramp(40, kind=dtype)
    events = LslDecoder().receive_data(stream(values, xml(units=(unit,), kind=kind)))
    (info,) = of(events, StreamInfo)
    assert (info.leads, info.sampling_hz, info.device) == (("II", "V1", "V5"), 250.0, "ecg")
    expected = np.clip(values.T.astype(float) * mv, -2147.483648, 2147.483647)
    np.testing.assert_allclose(millivolts(events), expected, atol=1e-6)


@given(cut=st.integers(1, 400))
def test_any_pieces_of_bytes_give_the_same(cut: int) -> None:
    data = stream(ramp(60), xml())
    whole = LslDecoder().receive_data(data)
    decoder, pieces = LslDecoder(), []
    for i in range(0, len(data), cut):
        pieces += decoder.receive_data(data[i : i + cut])
    assert [repr(event) for event in whole] == [repr(event) for event in pieces]


@pytest.mark.parametrize(
    ("labels", "asked", "leads", "columns"),
    [
        (("ECG II", "MLI", "EEG Fz"), "", ("II", "I"), (0, 1)),
        (("CH1", "CH2", "CH3"), "II=CH1,V1='CH3'", ("II", "V1"), (0, 2)),
        (("CH1", "CH2", "CH3"), "CH3:V5", ("V5",), (2,)),
        (("", "", ""), "1:V2,3:-I", ("V2", "I"), (0, -3)),
        (("II", "V1", "V5"), "V5,II", ("V5", "II"), (2, 0)),
        (("I", "II", "I"), "", ("I", "II"), (0, 1)),
    ],
)
def test_which_channel_is_which_lead(
    labels: tuple[str, ...], asked: str, leads: tuple[str, ...], columns: tuple[int, ...]
) -> None:
    values = ramp(20)
    events = LslDecoder(Asked(asked)).receive_data(stream(values, xml(labels)))
    assert of(events, StreamInfo)[0].leads == leads
    for row, column in zip(millivolts(events), columns, strict=True):
        sign, at = (-1, -column - 1) if column < 0 else (1, column)
        np.testing.assert_allclose(row, sign * values[:, at] * 1e-3, atol=1e-6)


def test_electrodes_against_a_reference() -> None:
    values = ramp(20, 2)
    asked = Asked("1:LA,2:LL", "RA", 1.0)
    events = LslDecoder(asked).receive_data(stream(values, xml(("a", "b"), ("",))))
    assert of(events, StreamInfo)[0].leads == ("I", "II", "III")
    np.testing.assert_allclose(millivolts(events)[2], values[:, 1] - values[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "asked", "says"),
    [
        (xml(units=("",)), Asked(), r"channel II .*states no unit.*unit=uV"),
        (xml(units=("counts",)), Asked(), "'counts', which is no voltage"),
        (xml(units=("0",)), Asked(), "'0', which is no voltage"),
        (
            xml(("CH1", "CH2")),
            Asked(),
            r"no channel .*named for a lead \(CH1, CH2\).*leads=II=CH1,V1=CH2",
        ),
        (xml(n=3, labels=()), Asked(), r"leads=II=1,V1=2"),
        (xml(kind="string"), Asked(), "no numbers: markers are read with markers=NAME"),
        ("<info", Asked(), "makes no sense"),
        (xml(channel_more=("<provenance>reconstructed</provenance>",)), Asked(), "estimates alone"),
    ],
)
def test_what_is_not_said_is_not_guessed(text: str, asked: Asked, says: str) -> None:
    with pytest.raises(PeerError, match=says):
        LslDecoder(asked).check(text)
    events = LslDecoder(asked).receive_data(description_frame(text))
    assert not of(events, StreamInfo) and of(events, Corrupt)


@pytest.mark.parametrize(
    ("asked", "says"),
    [("II=CH9", "has no channel CH9; it has II, V1, V5"), ("7:II", "this device has 1 to 3")],
)
def test_leads_that_the_stream_does_not_have(asked: str, says: str) -> None:
    with pytest.raises(SourceSpecError, match=says):
        LslDecoder(Asked(asked)).check(xml())


def test_volts_of_mne_and_a_unit_of_the_user() -> None:
    mne = xml(units=("0",), channel_more=("<coil_type>0</coil_type>",))
    events = LslDecoder().receive_data(stream(ramp(10) * np.float32(1e-6), mne))
    np.testing.assert_allclose(millivolts(events)[2], ramp(10)[:, 2] * 1e-3, atol=2e-5)
    events = LslDecoder(Asked(mv_per_unit=0.5)).receive_data(stream(ramp(10), xml()))
    assert "says 'microvolts', read in 0.5 mV as you say" in of(events, Notice)[0].text
    assert millivolts(events)[0, 3] == 1.5


def test_what_leadlift_reconstructed_is_not_taken_for_measured() -> None:
    said = ("<provenance>measured</provenance>", "<provenance>reconstructed</provenance>")
    text = xml(channel_more=said, more="<simulated>true</simulated>")
    events = LslDecoder().receive_data(stream(ramp(10), text))
    (info,) = of(events, StreamInfo)
    assert info.leads == ("II", "V5") and info.simulated
    assert "reconstructed, not measured: V1" in of(events, Notice)[0].text


def test_missing_samples_are_a_gap_and_missing_values_a_lead_that_is_off() -> None:
    values = ramp(400)
    values[100:110, 1] = np.nan
    text = description_frame(xml()) + samples_frame(stamps(200), values[:200])
    later = samples_frame(stamps(100, 50.0 + 250 / 250), values[250:350])
    decoder = LslDecoder()
    events = decoder.receive_data(text) + decoder.receive_data(later)
    assert decoder.held_samples == 100  # until it is known whether they waited
    events += decoder.receive_data(samples_frame(stamps(50, 50.0 + 350 / 250), values[350:]))
    assert of(events, Gap) == [Gap(200, 50, 50)]
    offs = of(events, LeadOffChanged)
    assert offs == [LeadOffChanged(100, 0b010), LeadOffChanged(110, 0)]
    index = {event.first_sample: event for event in of(events, Samples)}
    assert sorted(index) == [0, 100, 110, 250]
    assert index[250].counts[0, 0] == round(values[250, 0]) * 1000


def test_time_is_this_computers_and_follows_the_drift() -> None:
    decoder = LslDecoder()
    data = stream(ramp(250), xml(), start_s=1000.0, correction_s=-900.0)
    decoder.arrived(101 * S)
    events = decoder.receive_data(data)
    last = of(events, Samples)[-1]
    assert last.acquired_ns == pytest.approx(100.996 * S, abs=1000)
    assert last.tick_us == pytest.approx(1000.96e6, abs=1)
    events = decoder.receive_data(
        clock_frame(-900.01) + samples_frame(stamps(250, 1001.0), ramp(250))
    )
    assert of(events, Samples)[-1].acquired_ns == pytest.approx(101.986 * S, abs=1000)
    assert not of(events, Gap)


def test_another_outlet_goes_on_by_this_computers_clock() -> None:
    decoder = LslDecoder()
    decoder.arrived(101 * S)
    events = decoder.receive_data(stream(ramp(250), xml(), 1000.0, -900.0))
    decoder.arrived(105 * S)  # one of another computer, two seconds later
    events = decoder.receive_data(stream(ramp(100), xml(uid="u2"), 7.0, 96.0))
    events += decoder.ended()
    assert of(events, Gap) == [Gap(250, 500, 500)]
    assert of(events, Samples)[-1].acquired_ns == pytest.approx(103.396 * S, abs=1_000_000)


def test_a_clock_that_is_set_is_no_gap_of_an_hour() -> None:
    decoder = LslDecoder()
    decoder.arrived(101 * S)
    decoder.receive_data(stream(ramp(250), xml(), 1000.0, -900.0))
    decoder.arrived(102 * S)
    events = decoder.receive_data(samples_frame(stamps(125, 4600.0), ramp(125)))
    events += decoder.receive_data(samples_frame(stamps(125, 4600.5), ramp(125)))
    assert not of(events, Gap) and of(events, Samples)[0].first_sample == 250


def test_stamps_of_a_foreign_clock_are_told() -> None:
    decoder = LslDecoder()
    decoder.arrived(101 * S)
    events = decoder.receive_data(stream(ramp(50), xml(), 1.7e9, -900.0))
    assert "not in LSL's clock" in of(events, Notice)[0].text
    assert of(events, Samples)[0].acquired_ns is None


@pytest.mark.parametrize("hz", [100.0, 250.0, 512.0])
@pytest.mark.parametrize("burst", [1, 20])
def test_a_stream_without_a_rate_is_timed_by_its_stamps(hz: float, burst: int) -> None:
    decoder = LslDecoder()
    events = decoder.receive_data(description_frame(xml(hz=0)))
    assert not events
    n = int(6 * hz) // 20 * 20
    times = np.repeat(stamps(n // burst, hz=hz / burst), burst)
    for i in range(0, n, 20):
        events += decoder.receive_data(samples_frame(times[i : i + 20], ramp(20)))
    events += decoder.ended()
    (info,) = of(events, StreamInfo)
    assert (info.sampling_hz, info.rate_source) == (hz, RateSource.TIME_COLUMN)
    assert f"rate={hz:g}" in of(events, Notice)[0].text
    assert millivolts(events).shape[1] == n and not of(events, Gap)


def test_the_rate_of_the_user_counts() -> None:
    events = LslDecoder(rate_hz=200.0).receive_data(stream(ramp(20), xml()))
    (info,) = of(events, StreamInfo)
    assert (info.sampling_hz, info.rate_source) == (200.0, RateSource.DECLARED)
    assert "the stream says 250 Hz" in of(events, Notice)[0].text


@given(st.binary(max_size=200), st.integers(0, 500))
def test_damage_is_an_event(junk: bytes, at: int) -> None:
    data = stream(ramp(20), xml())
    events = LslDecoder().receive_data(data[:at] + junk + data[at:] + b"\x00")
    assert all(not isinstance(event, Samples) or event.counts.shape[0] == 3 for event in events)


def test_frames_that_make_no_sense() -> None:
    early = samples_frame(stamps(5), ramp(5))
    short = samples_frame(stamps(5), ramp(5, 2))
    data = early + description_frame(xml()) + short + clock_frame(float("nan"))
    reasons = [event.reason for event in of(LslDecoder().receive_data(data), Corrupt)]
    assert [reason.split(" ", 1)[0] for reason in reasons] == ["samples", "84", "a"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("lsl:x?unit=furlong", "unit=furlong: use one of V, mV, uV, nV"),
        ("lsl:x?unit_mv=0", "unit_mv=0"),
        ("lsl:x?rate=-1", "rate=-1"),
        ("lsl:x?leads=II=A,II=B", "each once"),
        ("lsl:x?device=csv", "takes no device="),
        ("lsl:x?color=red", "unknown option 'color'"),
        ("serial:/dev/x?device=lsl", "is read as lsl:NAME"),
        ("udp:5000?device=lsl", "is read as lsl:NAME"),
    ],
)
def test_a_source_that_cannot_be_meant(spec: str, says: str) -> None:
    with pytest.raises(SourceSpecError, match=says):
        open_source(spec)


def test_the_description_is_read_as_xdf_has_it() -> None:
    maker = "<acquisition><manufacturer>Acme</manufacturer><model>H1</model></acquisition>"
    found = parse(xml(more=maker, n=4))
    assert found.device == "Acme H1"
    assert found.labels == ("II", "V1", "V5", "4")
