"""Builds the native module kdash.backends.kvm._native (cffi, API mode)."""

from cffi import FFI

ffibuilder = FFI()
ffibuilder.cdef("#define KVM_API_VERSION ...\n")
ffibuilder.set_source(
    "kdash.backends.kvm._native",
    "#include <linux/kvm.h>\n",
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
