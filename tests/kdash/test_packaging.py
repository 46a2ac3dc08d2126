"""What is built and installed: the package list, the wheel, the environment's pins."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

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


def test_the_constraints_pin_versions_and_name_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", line) for line in pins)


def test_every_direct_dependency_is_pinned() -> None:
    described = project()["project"]
    assert isinstance(described, dict)
    wanted = described["dependencies"] + described["optional-dependencies"]["dev"]
    names = {re.split(r"[<>=\[ ]", item)[0].lower() for item in wanted}
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert names <= pinned


def needed_at_run_time() -> dict[str, str]:
    """Licence by name of every package that kdash and its extras need, as far as installed."""
    described = project()["project"]
    assert isinstance(described, dict)
    extras = described["optional-dependencies"]
    left = [*described["dependencies"], *extras["cluster"], *extras["web"]]
    found: dict[str, str] = {}
    while left:
        name = re.split(r"[^A-Za-z0-9._-]", left.pop())[0].lower().replace("_", "-")
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = str(package.metadata.json.get("license_expression", ""))
        left += [item for item in package.requires or () if "extra ==" not in item]
    return found


def test_the_licence_of_every_package_that_is_needed_is_listed() -> None:
    rows = (ROOT / "THIRD_PARTY.md").read_text().splitlines()
    listed = dict(row.split(" | ")[:2] for row in rows if row.startswith("| "))
    for name, licence in needed_at_run_time().items():
        assert f"| {name}" in listed
        assert licence in listed[f"| {name}"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if tracked.returncode:
        pytest.skip("not a git checkout")
    source.mkdir()
    names = [
        name for name in tracked.stdout.split(b"\0") if name and (ROOT / name.decode()).exists()
    ]
    packed = subprocess.run(
        ["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=b"\0".join(names),
        capture_output=True, check=True,
    )  # fmt: skip
    subprocess.run(["tar", "-x"], cwd=source, input=packed.stdout, check=True)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    built = subprocess.run(
        [*command, str(source)], capture_output=True, text=True, timeout=110, check=False
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return next(folder.glob("*.whl"))


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
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "v")], check=True, timeout=60)
    python = tmp_path / "v" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, timeout=60, capture_output=True)
    result = subprocess.run(
        [str(tmp_path / "v" / "bin" / "kdash"), "--version"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.startswith("kdash ")
