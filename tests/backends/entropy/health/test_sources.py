"""Where streams come from, and how they fail to come."""

import os
import socket
from pathlib import Path

import pytest

from kdash.backends.entropy.health import sources
from kdash.backends.entropy.health.sources import LIVE_BYTES, SourceError, file_bytes, live_bytes


def test_a_file_is_read_to_its_end_or_to_the_bytes_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(os.urandom(600_000))
    assert b"".join(file_bytes(str(path), None)) == path.read_bytes()
    assert b"".join(file_bytes(str(path), 300_001)) == path.read_bytes()[:300_001]


def test_no_more_is_taken_of_a_pipe_than_is_tested(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    keeper = os.open(path, os.O_RDWR)
    os.write(keeper, b"tested, the rest")
    assert b"".join(file_bytes(str(path), 6)) == b"tested"
    assert os.read(keeper, 99) == b", the rest"
    os.close(keeper)


def test_a_pipe_without_a_writer_is_told_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_SILENCE", 0.01)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writers: list[int] = []

    def write() -> None:
        writers.append(os.open(path, os.O_WRONLY))
        os.write(writers[0], b"at last")

    pieces = file_bytes(str(path), None, write)
    os.close(writers[0])
    assert b"".join(pieces) == b"at last"


def test_the_hardware_device_is_read_with_patience_by_any_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zero = os.stat("/dev/zero").st_rdev
    monkeypatch.setattr(sources, "_HARDWARE_DEVICE", (os.major(zero), os.minor(zero)))
    assert [len(piece) for piece in file_bytes("/dev/zero", 5000)] == [4096, 904]


def test_a_device_without_an_end_is_read_for_a_bounded_number_of_bytes() -> None:
    assert b"".join(file_bytes("/dev/zero", None)) == bytes(LIVE_BYTES)


@pytest.mark.parametrize("source", ["timing", "getrandom", "model"])
def test_a_live_source_gives_as_many_bytes_as_are_asked_for(source: str) -> None:
    assert len(b"".join(live_bytes(source, 5001))) == 5001


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        file_bytes(str(tmp_path), None)
    with pytest.raises(SourceError, match="No such file"):
        file_bytes(str(tmp_path / "none"), None)


def test_the_blocking_device_of_old_kernels_is_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_BLOCKING_ERA", tmp_path)
    with pytest.raises(SourceError, match="blocking pool"):
        file_bytes("/dev/random", 16)


def test_a_hardware_source_that_gives_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PATIENCE", 0.1)
    path = tmp_path / "hwrng"
    os.mkfifo(path)
    keeper = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(SourceError, match="gave nothing"):
            next(sources._hwrng_bytes(str(path)))
        os.write(keeper, b"12345")
        pieces = sources._hwrng_bytes(str(path))
        assert next(pieces) == b"12345"
        pieces.close()  # type: ignore[attr-defined]
    finally:
        os.close(keeper)


def test_a_hardware_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is there a hardware source"):
        next(sources._hwrng_bytes(str(tmp_path / "hwrng")))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(SourceError):
            next(sources._hwrng_bytes(str(tmp_path / "socket")))


def test_a_hardware_source_that_is_for_root_alone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root, who runs tests, is never refused
    with pytest.raises(SourceError, match="root alone"):
        next(live_bytes("hwrng", 16))
