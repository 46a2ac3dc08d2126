"""Results of others in the Stack pane: which files hold them, and their reports."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.targets import STACK_SUFFIXES, is_results
from kdash.web_mode import in_browser


def results_among(paths: Sequence[Path]) -> list[str]:
    """Those of the paths that were named that hold results or a build log."""
    return [
        str(path) for path in paths if not path.name.endswith(STACK_SUFFIXES) and is_results(path)
    ]


async def reports_of(
    results: Sequence[str], objects: Sequence[str], options: CheckOptions, build_dir: str
) -> AsyncGenerator[FileReport, None]:
    """The reports of results, then those on objects; each as it is done.

    Args:
        results: Files of results.
        objects: Files to validate.
        options: How to validate.
        build_dir: Where the paths in the results start, if somebody said so.
    """
    from kdash.backends.stack.service import import_results, validate

    for file in results:
        async with aclosing(import_results(file, build_dir, options)) as imported:
            async for report in imported:
                yield report
    if objects:
        async with aclosing(validate(objects, options, cache=not in_browser())) as validated:
            async for report in validated:
                yield report
