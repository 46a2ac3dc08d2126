"""The native part of the build; everything else is in pyproject.toml."""

from setuptools import setup

setup(
    cffi_modules=[
        "backends/kvm/native_build.py:ffibuilder",
        "backends/entropy/native_build.py:ffibuilder",
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
