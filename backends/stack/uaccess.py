"""Functions that may run while user memory is open to the kernel (between stac and clac).

The names are those of tools/objtool/check.c (6.1 to 6.12): sanitizers' and tracers' hooks, which
the compiler calls from everywhere, and the copy routines that user_access_begin() is made for.
"""

from __future__ import annotations

import re
from typing import Final

_SIZES: Final = "(?:1|2|4|8|16)"
_SAFE: Final = re.compile(
    "|".join(
        (
            "kasan_report|kasan_check_range|__kasan_check_(?:read|write)",
            rf"__asan_(?:load|store)(?:N|{_SIZES})_noabort",
            rf"__asan_report_(?:load|store)(?:_n|{_SIZES})_noabort",
            "__asan_(?:memset|memmove|memcpy)|__hwasan_(?:load|store|tag_memory).*",
            "__kcsan_(?:check_access|mb|wmb|rmb|release)",
            "kcsan_(?:found_watchpoint|setup_watchpoint|check_scoped_accesses|disable_current"
            "|enable_current_nowarn)",
            "__tsan_func_(?:entry|exit)|__tsan_(?:read|write)_range",
            rf"__tsan_(?:volatile_|unaligned_|unaligned_volatile_)?(?:read|write|read_write){_SIZES}",
            r"__tsan_atomic(?:8|16|32|64)_\w+|__tsan_atomic_(?:thread|signal)_fence",
            "write_comp_data|check_kcov_mode|__sanitizer_cov_trace_pc",
            "__sanitizer_cov_trace_(?:const_)?cmp[1248]|__sanitizer_cov_trace_switch",
            "kmsan_(?:copy_to_user|disable_current|enable_current|report|unpoison_entry_regs"
            "|unpoison_memory)",
            "__msan_(?:chain_origin|get_context_state|instrument_asm_store|poison_alloca|warning)",
            "__msan_metadata_ptr_for_(?:load|store)_[1248n]",
            "ubsan_type_mismatch_common|__ubsan_handle_type_mismatch(?:_v1)?",
            "__ubsan_handle_(?:shift_out_of_bounds|load_invalid_value)|stackleak_track_stack",
            "csum_partial_copy_generic|copy_mc_(?:fragile(?:_handle_tail)?|enhanced_fast_string)",
            "ftrace_likely_update|rep_(?:stos|movs)_alternative|__copy_user_nocache",
            "clear_user_(?:erms|rep_good|original)",
        )
    )
)


def is_uaccess_safe(name: str) -> bool:
    """Whether a function may be called with user memory open."""
    return _SAFE.fullmatch(name) is not None
