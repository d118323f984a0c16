"""What a run counts, scraped over HTTP: the values of its own report, and names as Prometheus wants them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from edge.cli import main
from edge.commands.common import LiveOutputs, run_live
from edge.errors import InputError, SinkError
from edge.live.telemetry import Histogram
from edge.metrics import exporter as exporter_module
from edge.metrics.exporter import Exporter, parse_address
from edge.metrics.tables import BUCKETS_MS, COUNTERS, GAUGES, HISTOGRAMS, LEAD_GAUGES
from edge.reconstructor import Reconstructor
from firmware_bridge.source import Source
from tests.edge.fakes import MemoryDevice

pytest.importorskip("prometheus_client", reason="pip install '.[metrics]'")
OPS = Path(__file__).parents[3] / "containers"
NAME = re.compile(r"\bleadlift_[a-z_]+")


def scraped(address: str) -> dict[str, Any]:
    """The families of a page, by name."""
    from prometheus_client.parser import text_string_to_metric_families

    with urlopen(address, timeout=10) as answer:
        text = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Any], name: str, sample: str = "", **labels: str) -> float:
    """Of the one sample of a family that has the labels."""
    found = [
        one.value
        for one in families[name].samples
        if one.name == (sample or one.name) and labels.items() <= one.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


def names_in(page: dict[str, Any]) -> set[str]:
    """The metrics that the queries of a dashboard ask for, at least one each."""
    queries = [one["expr"] for panel in page["panels"] for one in panel["targets"]]
    queries += [one["query"]["query"] for one in page["templating"]["list"][1:]]
    found = [NAME.findall(query) for query in queries]
    assert all(found), queries[found.index([])]
    assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
    return {name for names in found for name in names}


def lossy() -> Source:
    """Nine seconds of a device of which frames are lost, damaged and doubled, and an electrode comes off."""
    device = MemoryDevice()
    device.say_info()
    for number in range(90):
        data = device.frame(25, lead_off=2 if number > 80 else 0)
        if number % 30 == 10:  # 100 ms: filled
            continue
        if number in (43, 44, 45):
            data = data[:5] + bytes([data[5] ^ 1]) + data[6:]
        assert device.transport.feed(data * (2 if number == 50 else 1))
    device.transport.end()
    return device.source


def recorded(exporter: Exporter, name: str, source: Source, folder: Path) -> dict[str, Any]:
    """The report of a run, as `--json` prints it."""
    outputs = LiveOutputs((f"file:{folder / name}.npz",), None, False, False)
    with Reconstructor.open(engine="onnxruntime") as reconstructor:
        return run_live(source, reconstructor, outputs, seconds=None, follow=exporter.follow(name))


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """(families at the end, report of each run by its source)."""
    well = MemoryDevice()
    well.say_info()
    well.say(25, 60)
    well.transport.end()
    folder = tmp_path_factory.mktemp("runs")
    with Exporter() as exporter:
        reports = {
            name: recorded(exporter, name, source, folder)
            for name, source in (("well", well.source), ("lossy", lossy()))
        }
        return scraped(exporter.address), reports


def test_counters_are_those_of_the_report(
    runs: tuple[dict[str, Any], dict[str, dict[str, Any]]],
) -> None:
    families, reports = runs
    for source, report in reports.items():
        assert report["samples_in"] > 200
        for name, (entry, _) in COUNTERS.items():
            found = value(families, f"leadlift_{name}", source=source)
            assert found == report.get(entry, 0), (source, name)
        for name, (stage, _) in HISTOGRAMS.items():
            family = f"leadlift_{name}"
            stages = report["latency_us"]["stages"]
            assert value(families, family, f"{family}_count", source=source) == stages[stage]["n"]
        misses = value(families, "leadlift_deadline_misses", source=source)
        assert misses == report["deadline_misses"]
        deadline = value(families, "leadlift_deadline_seconds", source=source)
        assert deadline == pytest.approx(report["deadline_us"] * 1e-6)
    assert reports["lossy"]["samples_lost"] > 0
    assert reports["lossy"]["corrupt"] == 3
    assert reports["lossy"]["duplicates"] == 1


def test_engine_leads_and_link_are_told(
    runs: tuple[dict[str, Any], dict[str, dict[str, Any]]],
) -> None:
    families, reports = runs
    [info] = [s for s in families["leadlift_engine_info"].samples if s.labels["source"] == "well"]
    assert info.labels["engine"] == "onnxruntime"
    assert info.labels["bundle_sha256"] == reports["well"]["bundle_sha256"]
    assert value(families, "leadlift_link_up", source="well") == 0  # it has ended
    assert value(families, "leadlift_patients_running") == 0
    assert value(families, "leadlift_lead_off", source="well", lead="V1") == 0
    assert value(families, "leadlift_lead_off", source="lossy", lead="V1") == 1
    assert value(families, "leadlift_lead_off", source="lossy", lead="II") == 0
    whole, part = (
        value(families, "leadlift_lead_good_ratio", source="lossy", lead=lead)
        for lead in ("II", "V1")
    )
    assert 0 <= part < whole <= 1


def test_names_and_types_are_as_prometheus_wants_them(
    runs: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    families, _ = runs
    ours = {name: family for name, family in families.items() if name.startswith("leadlift_")}
    kinds = {f"leadlift_{name}": "counter" for name in COUNTERS}
    kinds |= {f"leadlift_{name}": "gauge" for name in (*GAUGES, *LEAD_GAUGES)}
    kinds |= {f"leadlift_{name}": "histogram" for name in HISTOGRAMS}
    assert {name: ours[name].type for name in kinds} == kinds
    for name, family in ours.items():
        assert family.documentation.endswith("."), name
        assert name == "leadlift_patients_running" or all(
            "source" in sample.labels for sample in family.samples
        )
        if family.type == "counter":
            assert all(sample.name == f"{name}_total" for sample in family.samples)
    latency = [
        s for s in ours["leadlift_block_latency_seconds"].samples if s.labels["source"] == "well"
    ]
    buckets = [s.value for s in latency if s.name.endswith("_bucket")]
    assert len(buckets) == len(BUCKETS_MS) + 1
    assert buckets == sorted(buckets)


def test_the_dashboard_shows_metrics_that_exist(
    runs: tuple[dict[str, Any], dict[str, dict[str, Any]]],
) -> None:
    families, _ = runs
    page = json.loads((OPS / "grafana.json").read_text(encoding="utf-8"))
    used = names_in(page)
    there = {sample.name for family in families.values() for sample in family.samples}
    there |= {f"leadlift_{name}" for name in GAUGES}  # one without a value has no sample
    assert len(used) > 10
    assert used <= there, used - there


def test_buckets_never_claim_what_is_longer() -> None:
    histogram = Histogram()
    for ns in (150_000, 199_000, 200_000, 200_001, 900_000_000, 5_000_000_000):
        histogram.record(ns)
    found = histogram.at_most([200_000, 1_000_000, 1_000_000_000])
    assert found[0] in (1, 2, 3)  # a bin that the bound cuts counts above it
    assert found[1:] == [4, 5, 6]
    assert histogram.total_ns == 5_900_749_001


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "here", "1.2.3.4:", "65536", "-1", "a:b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give a port"):
        parse_address(text)


def test_a_port_that_is_taken_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        given = ["--sink", f"file:{tmp_path / 'a.npz'}", "--metrics", port]
        assert main(["run", "--source", "sim:", *given]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert not list(tmp_path.iterdir())


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter_module, "find_spec", lambda name: None)
    with pytest.raises(SinkError, match=r"\.\[metrics\]"):
        Exporter()


@pytest.mark.realtime
def test_a_command_serves_all_its_sources(
    leadlift: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    given = ["--engine", "onnxruntime", "--seconds", "5", "--json", "--metrics", "0"]
    sink = f"file:{tmp_path}/{{source}}.npz"
    run = leadlift("run", "--source", "sim:?seed=1", "sim:?seed=2", "--sink", sink, *given)
    assert run.stderr is not None
    said = next(line for line in run.stderr if "metrics: http" in line)
    address = said.split("metrics: ")[1].strip()
    seen = scraped(address)
    while not all(
        any(s.labels["source"] == name and s.value > 0 for s in seen["leadlift_link_up"].samples)
        for name in ("sim-1", "sim-2")
    ):
        seen = scraped(address)
    assert value(seen, "leadlift_patients_running") == 2
    out, _ = run.communicate(timeout=60)
    report = json.loads(out)["sources"]["sim-1"]
    assert value(seen, "leadlift_samples_received", source="sim-1") <= report["samples_in"]
