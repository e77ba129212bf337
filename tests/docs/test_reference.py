"""docs/reference.md is what docs/reference.py makes of the installed catalog."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from tests.conftest import ROOT


def load_generator() -> Callable[[str], str]:
    """`reference(dsn)` of docs/reference.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("sisu_kodo_docs_reference", ROOT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    generator: Callable[[str], str] = module.reference
    return generator


def test_the_reference_is_current(dsn: str) -> None:
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert load_generator()(dsn).splitlines() == written.splitlines(), "run docs/reference.py anew"
