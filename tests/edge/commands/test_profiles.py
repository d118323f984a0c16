"""Options of `leadlift run` that are kept in a file: what they may be, and what counts more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.cli import main, parser
from edge.commands import profiles

GOOD = """
[bench]
source = "sim:?hr=70"
sink = ["file:one.csv", "file:two.npz"]
seconds = 2
lowpass = 40.0
mains = 50
overwrite = true
view-host = "127.0.0.1"

[lab]
source = "serial:/dev/ttyACM0?device=csv"
sink = "file:{time}.edf"
engine = "torch"

[empty]
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of profiles where leadlift looks for it, in a folder that is entered."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "config" / "leadlift" / "profiles.toml"
    file.parent.mkdir(parents=True)
    file.write_text(GOOD, encoding="utf-8")
    return file


def parsed(*arguments: str) -> dict[str, Any]:
    return vars(profiles.parse(parser(), ["run", *arguments]))


def test_a_profile_stands_for_its_options(kept: Path) -> None:
    found = parsed("--profile", "bench")
    plain = parsed(
        *("--source", "sim:?hr=70", "--sink", "file:one.csv", "file:two.npz", "--seconds", "2"),
        *("--lowpass", "40", "--mains", "50", "--overwrite", "--view-host", "127.0.0.1"),
    )
    same = set(plain) - {"profile", "profiled"}
    assert {name: found[name] for name in same} == {name: plain[name] for name in same}
    assert parsed("--profile", "empty")["source"] is None


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        (["--source", "sim:"], "source", ["sim:"]),
        (["--seconds", "9"], "seconds", 9.0),
        (["--sink", "terminal:"], "sink", ["terminal:"]),
        (["--sink", "terminal:", "--sink", "view:"], "sink", ["terminal:", "view:"]),
        (["--mains", "bundle"], "mains", "bundle"),  # what it is without any of both
        (["--engine", "auto"], "engine", "auto"),
    ],
)
def test_the_command_line_counts_more(
    kept: Path, given: list[str], name: str, value: object
) -> None:
    for profile in ("bench", "lab"):
        assert parsed("--profile", profile, *given)[name] == value
        assert parsed(*given, "--profile", profile)[name] == value


def test_a_run_by_its_profile(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--profile", "bench", "--seconds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["outputs"] == ["file:one.csv", "file:two.npz"]
    assert report["seconds"] < 2
    assert main(["run", "-v", "--profile", "bench", "--sink", "file:three.npz"]) == 0
    assert "profile bench: --source 'sim:?hr=70' --sink file:one.csv" in capsys.readouterr().err
    assert Path("three.npz").is_file()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[bench]\nsorce = 'sim:'", "[bench] has an unknown key sorce: did you mean source?"),
        (
            "[bench]\nview_host = 'x'",
            "[bench] has an unknown key view_host: did you mean view-host?",
        ),
        ("[bench]\n'--sink' = 'x'", "[bench] has an unknown key --sink: did you mean sink?"),
        ("[bench]\nzzz = 1", "[bench] has an unknown key zzz: use source, sink"),
        ("[bench]\nprofile = 'x'", "[bench] has an unknown key profile"),
        ("[bench]\nsource = 5", "[bench] source: 5 is not text"),
        ("[bench]\nsource = ''", "[bench] source: '' is not text"),
        (
            "[bench]\nsource = ['sim:', 1]",
            "[bench] source: 1 is not text or a list of texts",
        ),
        ("[bench]\nreport = ['r.json']", "[bench] report: ['r.json'] is not text"),
        ("[bench]\nsink = 5", "[bench] sink: 5 is not text or a list of texts"),
        ("[bench]\nsink = []", "[bench] sink: it is empty"),
        ("[bench]\nsink = ['view:', 1]", "[bench] sink: 1 is not text or a list of texts"),
        ("[bench]\nseconds = 'ten'", "[bench] seconds: 'ten' is not a number"),
        ("[bench]\nseconds = true", "[bench] seconds: True is not a number"),
        ("[bench]\nseconds = -1", "[bench] seconds: -1 is no duration"),
        ("[bench]\nseconds = nan", "[bench] seconds: nan is no duration"),
        ("[bench]\nlowpass = [40]", "[bench] lowpass: [40] is not a number"),
        ("[bench]\nmains = 55", "[bench] mains: 55 is not one of bundle, 50, 60, none"),
        ("[bench]\nmains = true", "[bench] mains: True is not one of"),
        ("[bench]\noverwrite = 'yes'", "[bench] overwrite: 'yes' is not true or false"),
        ("[bench]\noverwrite = 1", "[bench] overwrite: 1 is not true or false"),
        ("[bench.more]\na = 1", "[bench] has an unknown key more"),
        ("bench = 'sim:'", "bench stands in no profile: begin one with a line such as [bench]"),
        ("[[bench]]\nsource = 'sim:'", "bench stands in no profile"),
        ("[lab]\nsource = 'sim:'", "there is no profile [bench]: it has lab"),
        ("", "there is no profile [bench]: it is empty"),
        ("[bench\n", "is no TOML:"),
        ("[bench]\nsource = 'a'\nsource = 'b'", "is no TOML:"),
        ("\xff", "is no TOML:"),
        ("a = " + "[" * 5000, "is no TOML:"),
        ("#" * (2 << 20), "it has more than 1 MB"),
    ],
)
def test_a_profile_that_cannot_be_used_is_one_line_with_file_and_key(
    kept: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.write_bytes(text.encode("latin-1"))
    assert main(["run", "--profile", "bench"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("leadlift: error: ")
    assert str(kept) in err
    assert says in err


def test_a_file_of_an_editor_on_windows_is_read(kept: Path) -> None:
    kept.write_bytes(b"\xef\xbb\xbf[bench]\r\nsource = 'sim:'\r\n")
    assert parsed("--profile", "bench")["source"] == ["sim:"]


def test_another_file_is_named_on_the_command_line(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[bench]\nsource = 'sim:?hr=50'\n", encoding="utf-8")
    assert parsed("--profile", "bench", "--config", str(other))["source"] == ["sim:?hr=50"]
    assert main(["run", "--config", str(other), "--source", "sim:"]) == 2
    assert "give --profile NAME, too" in capsys.readouterr().err
    for missing in (str(tmp_path / "none.toml"), str(tmp_path)):
        assert main(["run", "--profile", "bench", "--config", missing]) == 2
        assert f"cannot read the profiles {missing}: " in capsys.readouterr().err


def test_where_profiles_stand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    default = tmp_path / ".config" / "leadlift" / "profiles.toml"
    for kept_in in ("", "relative/is/not/used"):  # as the XDG specification says
        monkeypatch.setenv("XDG_CONFIG_HOME", kept_in)
        assert profiles.profiles_file(None) == default
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert profiles.profiles_file(None) == default


def test_a_tilde_is_filled_in_as_a_shell_does(kept: Path, tmp_path: Path) -> None:
    kept.write_text(
        "[bench]\nsource = 'replay:~/a.llcap'\nsink = ['file:~/o.edf']\npatient = '~/p.json'\n",
        encoding="utf-8",
    )
    found = parsed("--profile", "bench")
    home = tmp_path / "home"
    assert found["source"] == [f"replay:{home / 'a.llcap'}"]
    assert found["sink"] == [f"file:{home / 'o.edf'}"]
    assert found["patient"] == str(home / "p.json")


def test_the_list_shows_what_each_stands_for(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profiles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"file       {kept}"
    assert lines[1] == (
        "bench      --source 'sim:?hr=70' --sink file:one.csv file:two.npz --mains 50 --lowpass 40.0 "
        "--seconds 2.0 --view-host 127.0.0.1 --overwrite"
    )
    assert [line.split()[0] for line in lines[1:]] == ["bench", "lab", "empty"]
    kept.write_text(GOOD + "zzz = 1\n", encoding="utf-8")
    assert main(["profiles"]) == 1
    out, err = capsys.readouterr()
    assert "lab " in out and "[empty] has an unknown key zzz" in err
    kept.unlink()
    assert main(["profiles"]) == 1
    assert "cannot read the profiles" in capsys.readouterr().err
