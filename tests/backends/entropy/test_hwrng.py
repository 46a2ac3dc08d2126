from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import HardwareSource
from kdash.backends.entropy.hwrng import FOLDERS, is_lost, read_hwrng
from kdash.backends.entropy.procfs import Root, Unavailable


def root_with(folder: Path, name: str = FOLDERS[0], **files: bytes) -> Root:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    for attribute, content in files.items():
        (place / attribute).write_bytes(content)
    return Root(folder)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_source_in_use_is_read_with_its_quality(tmp_path: Path, folder: str) -> None:
    root = root_with(
        tmp_path,
        folder,
        rng_current=b"tpm-rng-0\n",
        rng_available=b"tpm-rng-0 virtio_rng.0 none\n",
        rng_quality=b"1000\n",
    )
    assert read_hwrng(root) == HardwareSource("tpm-rng-0", ("tpm-rng-0", "virtio_rng.0"), 1000)


def test_a_kernel_without_quality_still_tells_the_source(tmp_path: Path) -> None:
    root = root_with(tmp_path, rng_current=b"intel-rng\n", rng_available=b"intel-rng\n")
    assert read_hwrng(root) == HardwareSource("intel-rng", ("intel-rng",), None)


@pytest.mark.parametrize("current", [b"", b"\n", b"none\n"])
def test_no_source_reads_as_none(tmp_path: Path, current: bytes) -> None:
    assert read_hwrng(root_with(tmp_path, rng_current=current)).current == "none"


@pytest.mark.parametrize("quality", [b"-5", b"1025", b"high", b"", b"9" * 5000, b"\xff\xfe"])
def test_an_implausible_quality_is_left_out(tmp_path: Path, quality: bytes) -> None:
    assert read_hwrng(root_with(tmp_path, rng_current=b"x", rng_quality=quality)).quality is None


def test_without_the_core_the_source_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not on this kernel"):
        read_hwrng(Root(tmp_path))


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=40))
def test_any_bytes_give_a_source(
    tmp_path_factory: pytest.TempPathFactory, current: bytes, available: bytes, quality: bytes
) -> None:
    root = root_with(
        tmp_path_factory.getbasetemp() / "hwrng",
        rng_current=current,
        rng_available=available,
        rng_quality=quality,
    )
    source = read_hwrng(root)
    assert source.current
    assert source.quality is None or 0 <= source.quality <= 1024
    assert "none" not in source.available


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        (None, None, False),
        (HardwareSource("none"), None, False),
        (HardwareSource("a"), HardwareSource("b"), False),
        (HardwareSource("a"), HardwareSource("none"), True),
        (HardwareSource("a"), None, True),
    ],
)
def test_a_source_is_lost_when_none_follows_it(
    before: HardwareSource | None, now: HardwareSource | None, lost: bool
) -> None:
    assert is_lost(before, now) is lost
