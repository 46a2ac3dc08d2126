"""What can be validated besides plain files: archives, compressed modules, build trees."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack import compression
from kdash.backends.stack.archives import MAGIC, THIN_MAGIC, members
from kdash.backends.stack.check import Checker
from kdash.backends.stack.compression import expand
from kdash.backends.stack.facts import CheckOptions, FileReport, ObjectError
from kdash.backends.stack.object_files import object_files, sample_paths
from kdash.backends.stack.reading import read_object

COMPRESSORS = {
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".gz": lambda data: gzip.compress(data, 1),
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def sample() -> Path:
    return next(Path(path) for path in sample_paths() if path.endswith("checksum_alt.o"))


def report(path: Path | str) -> FileReport:
    return Checker(CheckOptions(frame_pointer="on")).check(str(path))


def header(name: bytes, size: int) -> bytes:
    return b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name, 0, 0, 0, 0o644, size)


def archive(*parts: tuple[bytes, bytes]) -> bytes:
    return MAGIC + b"".join(
        header(name, len(data)) + data + b"\n" * (len(data) & 1) for name, data in parts
    )


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_compressed_module_has_the_findings_of_the_plain_one(tmp_path: Path, suffix: str) -> None:
    data = sample().read_bytes()
    path = tmp_path / f"x.ko{suffix}"
    path.write_bytes(COMPRESSORS[suffix](data))
    plain = {(one.kind, one.address) for one in report(sample()).findings}
    assert plain
    assert {(one.kind, one.address) for one in report(path).findings} == plain


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_truncated_compressed_module_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.ko{suffix}"
    path.write_bytes(COMPRESSORS[suffix](sample().read_bytes())[:-40])
    assert "truncated" in report(path).error or "damaged" in report(path).error


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_what_expands_beyond_the_bound_is_refused(suffix: str) -> None:
    with pytest.raises(ObjectError, match="expands to more than 1000 bytes"):
        expand(COMPRESSORS[suffix](bytes(100_000)), 1000)


@given(st.sampled_from([b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"]), st.binary())
def test_bytes_behind_a_magic_number_are_refused_or_expanded(magic: bytes, rest: bytes) -> None:
    try:
        assert isinstance(expand(magic + rest), bytes)
    except ObjectError as error:
        assert str(error)


def test_the_members_of_an_archive_are_validated_each_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "lib.a"
    path.write_bytes(archive((b"one.o/", sample().read_bytes()), (b"two.o/", b"no object")))
    first, second = object_files([str(path)])
    assert (first, second) == (f"{path}(one.o)", f"{path}(two.o)")
    assert {one.file for one in report(first).findings} == {first}
    assert "ELF" in report(second).error


def test_two_members_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "lib.a"
    path.write_bytes(archive((b"x.o/", b"first"), (b"x.o/", b"second")))
    assert [read_object(one) for one in object_files([str(path)])] == [b"first", b"second"]


def test_long_names_come_from_the_table_of_names(tmp_path: Path) -> None:
    path = tmp_path / "lib.a"
    names = b"a_rather_long_name_of_a_member.o/\nanother_rather_long_name.o/\n"
    path.write_bytes(archive((b"//", names), (b"/0", b"1"), (b"/34", b"22")))
    assert [(one.label, one.size) for one in members(str(path))] == [
        ("a_rather_long_name_of_a_member.o", 1),
        ("another_rather_long_name.o", 2),
    ]


def test_a_thin_archive_stands_for_the_files_it_names(tmp_path: Path) -> None:
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers" / "x.o").write_bytes(sample().read_bytes())
    names = b"drivers/x.o/\n"
    path = tmp_path / "built-in.a"
    path.write_bytes(THIN_MAGIC + header(b"//", 13) + names + b"\n" + header(b"/0", 7))
    assert list(object_files([str(path)])) == [str(tmp_path / "drivers" / "x.o")]


def test_a_folder_takes_the_files_of_a_thin_archive_once(tmp_path: Path) -> None:
    (tmp_path / "x.o").write_bytes(b"")
    (tmp_path / "built-in.a").write_bytes(THIN_MAGIC + header(b"x.o/", 0))
    assert list(object_files([str(tmp_path)])) == [str(tmp_path / "x.o")]


@pytest.mark.gcc
def test_archives_of_the_real_ar_are_read(tmp_path: Path) -> None:
    names = ["short.o", "a_name_longer_than_sixteen_bytes.o"]
    for name in names:
        (tmp_path / name).write_bytes(sample().read_bytes())
    for options, archive_name in (("rcs", "lib.a"), ("rcsT", "thin.a")):
        subprocess.run(["ar", options, archive_name, *names], cwd=tmp_path, check=True)
        found = list(object_files([str(tmp_path / archive_name)]))
        assert [read_object(one) for one in found] == [sample().read_bytes()] * 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (MAGIC + b"too short", "no member header at 0x8"),
        (MAGIC + header(b"x.o/", 500), "goes beyond its end"),
        (MAGIC + header(b"/7", 0), "has no name"),
        (MAGIC + header(b"x.o/", 0).replace(b"0         `", b"-7        `"), "has no size"),
    ],
)
def test_a_damaged_archive_says_what_is_wrong(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "lib.a"
    path.write_bytes(data)
    (only,) = object_files([str(path)])
    assert says in report(only).error


@given(st.binary(max_size=400))
def test_random_bytes_as_an_archive_end_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.a"
    path.write_bytes(MAGIC + data)
    for one in object_files([str(path)]):
        assert "\n" not in report(one).error


def test_a_file_whose_name_looks_like_a_member_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "lib.a").write_bytes(archive((b"x.o/", b"member")))
    path = tmp_path / "lib.a(x.o)"
    path.write_bytes(b"file")
    assert read_object(str(path)) == b"file"


def commanded(folder: Path, name: str, command: str) -> Path:
    path = folder / name
    path.write_bytes(b"")
    (folder / f".{name}.cmd").write_text(f"savedcmd_{name} := {command}\n\nsource_{name} := x.c\n")
    return path


def test_a_build_tree_gives_the_objects_that_were_compiled_for_the_kernel(tmp_path: Path) -> None:
    unit = commanded(tmp_path, "x_main.o", "gcc -D__KERNEL__ -c -o x_main.o x_main.c")
    commanded(tmp_path, "x.o", "ld -m elf_x86_64 -r -o x.o @x.mod")
    commanded(tmp_path, "x.mod.o", "gcc -D__KERNEL__ -c -o x.mod.o x.mod.c")
    commanded(tmp_path, "x.ko", "ld -r -T scripts/module.lds -o x.ko x.o x.mod.o")
    commanded(tmp_path, "modpost.o", "gcc -Wall -c -o modpost.o scripts/mod/modpost.c")
    assert list(object_files([str(tmp_path)])) == [str(unit)]


def test_a_module_without_its_objects_is_validated_itself(tmp_path: Path) -> None:
    module = commanded(tmp_path, "x.ko", "ld -r -o x.ko x.o x.mod.o")
    assert list(object_files([str(tmp_path)])) == [str(module)]


def test_an_object_that_is_named_is_taken_however_it_was_made(tmp_path: Path) -> None:
    path = commanded(tmp_path, "x.o", "ld -m elf_x86_64 -r -o x.o @x.mod")
    assert list(object_files([str(path)])) == [str(path)]


def test_an_archive_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gone.a"
    os.symlink(tmp_path / "nowhere", path)
    (only,) = object_files([str(path)])
    assert report(only).error == "no such file"


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_what_expands_beyond_the_bound_is_never_held(
    monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(compression, "_KEPT", 1 << 20)
    data = COMPRESSORS[suffix](bytes(32 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ObjectError, match="expands to more"):
            expand(data, 31 << 20)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_what_is_counted_before_it_is_held_is_whole(
    monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(compression, "_KEPT", 1000)
    content = bytes(range(256)) * 20_000
    assert expand(COMPRESSORS[suffix](content)) == content


def test_a_folder_of_thin_archives_alone_means_their_members(tmp_path: Path) -> None:
    objects, archives = tmp_path / "objects", tmp_path / "archives"
    objects.mkdir()
    archives.mkdir()
    (objects / "x.o").write_bytes(b"\x7fELF")
    subprocess.run(["ar", "rcT", "../archives/x.a", "x.o"], cwd=objects, check=True)
    assert list(object_files([str(archives)])) == [str(objects / "x.o")]
