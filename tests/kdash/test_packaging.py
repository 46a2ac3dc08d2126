"""What is built and installed: the package list, the wheel, the environment's pins."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kdash import __version__, __version_date__

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"kdash": "kdash", "widgets": "kdash.widgets", "backends": "kdash.backends"}


def packages_on_disk() -> set[str]:
    found = set()
    for folder, package in ROOMS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / folder).parts
            if folder != "kdash" or not {"widgets", "backends"} & set(parts):
                found.add(".".join((package, *parts)))
    return found


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_package_list_is_complete() -> None:
    tool = project()["tool"]
    assert isinstance(tool, dict)
    assert set(tool["setuptools"]["packages"]) == packages_on_disk()


def test_every_folder_with_python_files_is_a_package() -> None:
    folders = {
        path.parent
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "__pycache__" not in path.parts and "samples" not in path.parts
    }
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_wiring_contract_names_every_module_of_the_program() -> None:
    linter = project()["tool"]["importlinter"]  # type: ignore[index]
    modules = {
        f"kdash.{path.stem if path.is_file() else path.name}"
        for path in (ROOT / "kdash").iterdir()
        if path.name not in ("__init__.py", "widgets", "backends", "__pycache__")
        and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    for contract in linter["contracts"][:2]:
        assert modules <= set(contract["forbidden_modules"]), contract["name"]


def test_the_newest_release_in_the_changelog_is_the_version_of_the_program() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    releases = [one for one in headings if one != "Unreleased"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", one) for one in releases)
    assert releases[0] == f"{__version__} - {__version_date__}"


def test_the_oldest_python_is_the_same_wherever_it_is_named() -> None:
    described, tool = project()["project"], project()["tool"]
    assert isinstance(described, dict)
    assert isinstance(tool, dict)
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(described["classifiers"]))
    assert described["requires-python"] == f">={named[0]}"
    assert tool["mypy"]["python_version"] == named[0]
    assert f"cp{named[0].replace('.', '')}" in (ROOT / "setup.py").read_text()
    release = (ROOT / "CHANGELOG.md").read_text()
    assert f"Python {named[0]} to {named[-1]}" in release


def test_the_constraints_pin_versions_and_name_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", line) for line in pins)


def test_every_direct_dependency_is_pinned() -> None:
    names = {Requirement(item).name.lower() for item in wanted("cluster", "web", "dev")}
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert names <= pinned


def wanted(*extras: str) -> list[str]:
    """What pyproject.toml asks for."""
    described = project()["project"]
    assert isinstance(described, dict)
    optional = described["optional-dependencies"]
    return [*described["dependencies"], *(one for extra in extras for one in optional[extra])]


def test_architecture_has_a_reason_for_every_dependency_and_extra() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    section = text.partition("## Dependencies, and why\n")[2]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| ")][1:]
    reasons = {name.strip(): why.strip() for names, why in rows for name in names.split(",")}
    assert [name for name, why in reasons.items() if len(why) < 10] == []
    assert {Requirement(one).name for one in wanted("cluster", "web", "dev")} == reasons.keys()
    for extra in ("cluster", "web", "dev"):
        assert f"the extra `{extra}`" in section


def needed_at_run_time() -> dict[str, str]:
    """Licence by name of every package that kdash and its extras need, as far as installed."""
    left = [Requirement(one) for one in wanted("cluster", "web")]
    found: dict[str, str] = {}
    seen = set()
    while left:
        one = left.pop()
        name = one.name.lower().replace("_", "-")
        if (name, *one.extras) in seen:
            continue
        seen.add((name, *one.extras))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = str(package.metadata.json.get("license_expression", ""))
        below = [Requirement(item) for item in package.requires or ()]
        extras = ("", *one.extras)
        left += [
            item
            for item in below
            if item.marker is None or any(item.marker.evaluate({"extra": e}) for e in extras)
        ]
    return found


def test_the_licence_of_every_package_that_is_needed_is_listed_and_of_no_other() -> None:
    rows = (ROOT / "THIRD_PARTY.md").read_text().splitlines()
    listed = dict(row[2:].split(" | ")[:2] for row in rows if re.match(r"\| [a-z]", row))
    needed = needed_at_run_time()
    assert needed.keys() - listed.keys() == set()
    for name, licence in needed.items():
        assert licence in listed[name], name
    for name in listed.keys() - needed.keys():  # for another Python, or not installed here
        with pytest.raises(PackageNotFoundError):
            distribution(name)


def copied(names: list[str], folder: Path) -> Path:
    """The files of the repository with these names, in a folder of their own."""
    folder.mkdir()
    packed = subprocess.run(
        ["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input="\0".join(names).encode(),
        capture_output=True, check=True,
    )  # fmt: skip
    subprocess.run(["tar", "-x"], cwd=folder, input=packed.stdout, check=True)
    return folder


def built(what: str, source: Path, folder: Path) -> Path:
    """The source package (sdist) or wheel of a folder, as pip asks for it."""
    folder.mkdir(exist_ok=True)
    code = f"import setuptools.build_meta as b; print(b.build_{what}({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / done.stdout.splitlines()[-1]


def names_in(package: Path) -> set[str]:
    with tarfile.open(package) as archive:
        files = [one.name for one in archive.getmembers() if not one.isdir()]
    return {name.partition("/")[2] for name in files}


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of the repository and new ones of the program, without those that are removed."""
    listed = ["git", "ls-files", "-z"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    new = subprocess.run(
        [*listed, "--others", "--exclude-standard", "--", *ROOMS, "docs"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = (done.stdout + new.stdout).split("\0")
    return [name for name in names if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def sdist(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    return built("sdist", copied(tracked, folder / "source"), folder)


@pytest.fixture(scope="module")
def unpacked(sdist: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent / "unpacked", filter="data")
    return next((sdist.parent / "unpacked").iterdir())


@pytest.fixture(scope="module")
def wheel(unpacked: Path) -> Path:
    """Built of the source package alone."""
    return built("wheel", unpacked, unpacked.parents[1] / "wheel")


NOT_IN_SDIST = {"kdash/widgets", "kdash/backends"}  # links, which make puts there
MADE = {"PKG-INFO", "setup.cfg"}


def test_the_source_package_holds_what_the_repository_has(tracked: list[str], sdist: Path) -> None:
    found = {name for name in names_in(sdist) if not name.startswith("kdash.egg-info/")}
    assert found - MADE == set(tracked) - NOT_IN_SDIST


def test_the_source_package_makes_the_same_source_package(sdist: Path, unpacked: Path) -> None:
    again = built("sdist", unpacked, sdist.parent / "again")
    assert names_in(again) == names_in(sdist)


def test_what_documents_show_and_link_to_is_in_the_source_package(unpacked: Path) -> None:
    documents = [*unpacked.glob("*.md"), *unpacked.glob("docs/*.md")]
    assert len(documents) > 8
    for document in documents:
        for link in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
            assert (document.parent / link).is_file(), f"{document.name}: {link}"


def test_the_wheel_is_for_any_python_from_3_11_on(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


def test_the_wheel_holds_only_the_package(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not re.fullmatch(r"kdash(-.*\.dist-info)?", top)} == set()


def test_the_wheel_holds_every_package_and_the_native_module(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.removesuffix("/__init__.py").replace("/", ".") for name in names
            if name.endswith("/__init__.py")} == packages_on_disk()  # fmt: skip
    assert any(re.fullmatch(r"kdash/backends/kvm/_native\.abi3\.so", name) for name in names)
    assert "kdash/kdash.tcss" in names
    assert any(
        name.startswith("kdash/backends/stack/samples/") and name.endswith(".o") for name in names
    )


def test_the_installed_wheel_tells_its_version_in_an_empty_environment(
    wheel: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")]
    subprocess.run(command, check=True, timeout=60)
    python = tmp_path / "v" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps",
               "--no-index", str(wheel)]  # fmt: skip
    subprocess.run(install, check=True, timeout=60, capture_output=True)
    result = subprocess.run(
        [str(tmp_path / "v" / "bin" / "kdash"), "--version"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.startswith("kdash ")
