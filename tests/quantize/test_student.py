"""The student: causal, zero at first, and 8 bits that train."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the student needs torch: install '.[test]'")

from quantize.errors import QuantizeError
from quantize.student import MAX_LOOKAHEAD, QMAX, Quantizer, Student, StudentConfig, weight_scale

CONFIG = StudentConfig(channels=8, kernel=3, dilations=(1, 2))


def inputs(frames: int = 30) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return torch.randn(2, 3, 4, frames), torch.ones(2, 3, frames), torch.randn(2, 5, 3)


def trained(student: Student) -> Student:
    """Heads that are not zero, batch norms that have seen something."""
    torch.manual_seed(1)
    for head in (student.residual_head, student.sigma_head):
        torch.nn.init.normal_(head.conv.weight, std=0.1)
    student.train()
    for _ in range(5):
        student(*inputs())
    return student.eval()


def test_untrained_it_adds_nothing_to_the_anchor() -> None:
    residual, log_sigma = Student(CONFIG).eval()(*inputs())
    assert residual.shape == log_sigma.shape == (2, 5, 4, 30)
    assert not residual.any()


def test_the_future_does_not_reach_the_past() -> None:
    student, (ecg, mask, anchor) = trained(Student(CONFIG)), inputs()
    before = student(ecg, mask, anchor)[0]
    ecg[..., 20:] += 1.0
    after = student(ecg, mask, anchor)[0]
    assert torch.equal(before[..., :20], after[..., :20])
    assert not torch.equal(before[..., 20:], after[..., 20:])


def test_the_receptive_field_is_what_it_says() -> None:
    student, (ecg, mask, anchor) = trained(Student(CONFIG)), inputs()
    before = student(ecg, mask, anchor)[0]
    ecg[..., 5] += 1.0
    changed = (student(ecg, mask, anchor)[0] != before).any(0).any(0).any(0).nonzero()
    assert changed.min() == 5
    assert changed.max() == 5 + CONFIG.receptive_frames - 1


def test_folding_the_batch_norms_changes_nothing() -> None:
    student = trained(Student(CONFIG))
    before = student(*inputs())
    after = student.fold()(*inputs())
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_both_heads_as_one_convolution() -> None:
    student = trained(Student(CONFIG)).fold()
    x = torch.randn(1, 8, 6)
    both = student.head()(x)
    assert torch.equal(both[:, :20], student.residual_head(x))
    assert torch.equal(both[:, 20:], student.sigma_head(x))


@pytest.mark.parametrize(("signed", "lowest"), [(True, -QMAX - 1), (False, 0)])
def test_a_quantiser_rounds_to_even_and_saturates(signed: bool, lowest: int) -> None:
    quantizer = Quantizer(signed)
    quantizer.scale.fill_(0.5)
    quantizer.mode = "quantize"
    x = torch.tensor([-1000.0, -0.3, 0.25, 0.75, 63.4, 1000.0])
    assert (quantizer(x) / 0.5).tolist() == [lowest, -1 if signed else 0, 0, 2, 127, 127]


def test_gradients_pass_where_nothing_saturates() -> None:
    quantizer = Quantizer(signed=False)
    quantizer.scale.fill_(0.1)
    quantizer.mode = "quantize"
    x = torch.tensor([-1.0, 3.33, 50.0], requires_grad=True)
    quantizer(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([0.0, 1.0, 0.0]))


def test_observing_puts_the_top_code_at_the_quantile() -> None:
    quantizer = Quantizer(signed=True)
    quantizer.mode = "observe"
    x = torch.arange(-61_000.0, 61_000.0)
    assert torch.equal(quantizer(x), x)
    quantizer.scale_from_seen(0.5)
    assert quantizer.scale.item() * QMAX == pytest.approx(30_500, rel=0.01)
    assert quantizer.seen == []


def test_weights_round_per_output_channel() -> None:
    student = trained(Student(CONFIG)).fold()
    conv = student.blocks[0].dilated
    codes = conv.conv.weight / weight_scale(conv.conv.weight)
    assert codes.abs().amax((1, 2)).detach() == pytest.approx([QMAX] * 8)
    plain = conv(torch.randn(1, 8, 9))
    conv.quantize_weight = True
    rounded = conv(torch.randn(1, 8, 9))
    assert plain.shape == rounded.shape


def test_a_look_ahead_is_bounded_and_counted_in_samples() -> None:
    assert Student(CONFIG).late_samples == 0
    assert Student(StudentConfig(channels=8, lookahead=MAX_LOOKAHEAD)).late_samples == 100
    with pytest.raises(QuantizeError, match="from 0 to 25"):
        StudentConfig(lookahead=MAX_LOOKAHEAD + 1)


def test_a_network_has_a_channel_at_least() -> None:
    with pytest.raises(QuantizeError, match="0 channels: give 1 at least"):
        StudentConfig(channels=0)
