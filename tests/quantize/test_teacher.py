"""The teacher: members that see a whole record, and their mean."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the teacher needs torch: install '.[test]'")
pytest.importorskip("safetensors", reason="the teacher needs safetensors: install '.[test]'")

from quantize.errors import QuantizeError
from quantize.feed import Batch
from quantize.teacher import Member, Teacher, TeacherConfig, load_teacher, save_teacher

CONFIG = TeacherConfig(channels=8, kernel=3, dilations=(1, 2))


def batch(n: int, frames: int = 40) -> Batch:
    torch.manual_seed(0)
    nothing = torch.zeros(n, 5, 4 * frames)
    ecg = torch.randn(n, 3, 4, frames)
    return Batch(ecg, torch.ones(n, 3, frames), torch.randn(n, 5, 3), nothing, nothing)


def teacher() -> Teacher:
    """Members that differ, with heads that are not zero."""
    members = []
    for seed in range(3):
        torch.manual_seed(seed)
        members.append(Member(CONFIG))
        torch.nn.init.normal_(members[-1].residual_head.weight, std=0.1)
    return Teacher(members)


def test_untrained_a_member_adds_nothing_to_the_anchor() -> None:
    of = batch(2)
    residual, log_sigma = Member(CONFIG).eval()(of.ecg, of.mask, of.anchor)
    assert residual.shape == log_sigma.shape == (2, 5, 4, 40)
    assert not residual.any()


def test_a_member_sees_before_and_after() -> None:
    of, member = batch(1), teacher().members[0]
    before = member(of.ecg, of.mask, of.anchor)[0]
    of.ecg[..., 20] += 1.0
    changed = (member(of.ecg, of.mask, of.anchor)[0] != before).any(0).any(0).any(0)
    assert changed[:20].any()
    assert changed[21:].any()


def test_the_mean_of_the_members_teaches() -> None:
    made, of = teacher(), batch(2)
    every = [member(of.ecg, of.mask, of.anchor)[0] for member in made.members]
    residual, _ = made(of.ecg, of.mask, of.anchor)
    torch.testing.assert_close(residual, torch.stack(every).mean(0))
    assert not torch.allclose(every[0], every[1])


def test_sigma_grows_where_the_members_differ() -> None:
    made, of = teacher(), batch(1)
    _, log_sigma = made(of.ecg, of.mask, of.anchor)
    assert (log_sigma > -2.3).all()  # each member alone says exp(-2.3)


def test_sigma_is_bounded() -> None:
    made, of = teacher(), batch(1)
    for member in made.members:
        torch.nn.init.zeros_(member.residual_head.weight)
        torch.nn.init.constant_(member.sigma_head.bias, 20.0)
    _, log_sigma = made(of.ecg, of.mask, of.anchor)
    torch.testing.assert_close(log_sigma, torch.zeros_like(log_sigma))  # 1 mV


def test_a_file_gives_the_same_teacher_in_float16(tmp_path: Path) -> None:
    made, of, file = teacher(), batch(2), tmp_path / "teacher.safetensors"
    save_teacher(file, made, {"schedule": {"seed": 3}})
    again, card = load_teacher(file)
    assert card["schedule"] == {"seed": 3}
    assert len(card["sha256"]) == 64
    given = (of.ecg, of.mask, of.anchor)
    for a, b in zip(again(*given), made(*given), strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02)


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="run `python -m quantize teacher`"):
        load_teacher(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here")
    with pytest.raises(QuantizeError, match="does not fit this version"):
        load_teacher(tmp_path / "text.safetensors")
    with pytest.raises(QuantizeError, match="one member at least"):
        Teacher([])


def test_the_teacher_that_ships_can_be_loaded() -> None:
    made, card = load_teacher()
    assert len(card["members"]) == len(made.members)
    residual, _ = made(*(getattr(batch(1), name) for name in ("ecg", "mask", "anchor")))
    assert residual.abs().max() > 0
