"""In which formats a notebook can be exported: those for which everything is there."""

import importlib.util
import shutil
from typing import Any

from tornado.web import HTTPError
from traitlets.config import Config

ADVICE = "For a PDF, open Print (Ctrl+P) of the exported HTML in your browser and choose “Save as PDF”."


def offer_what_works(c: Config) -> None:
    """Turn off what needs a program that this node has not: upstream offers it, and fails with a 500."""
    pandoc, latex = shutil.which("pandoc"), shutil.which("xelatex")
    for name, works in (
        ("LatexExporter", bool(pandoc)),
        ("PDFExporter", bool(pandoc and latex)),
        ("RSTExporter", bool(pandoc)),
        ("ASCIIDocExporter", bool(pandoc)),
        ("WebPDFExporter", _installed("playwright")),
        ("QtExporter", _installed("PyQtWebEngine")),
    ):
        c[name].enabled = works


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def explain_what_is_not_offered() -> None:
    """Whoever asks for another format reads a sentence; upstream answers 500."""
    from jupyter_server.nbconvert import handlers  # noqa: PLC0415 nothing of it before the server's own start

    upstream = handlers.get_exporter

    def get_exporter(format: str, **more: Any) -> Any:  # noqa: ANN401 as upstream has it
        try:
            return upstream(format, **more)
        except (ValueError, NameError) as not_there:  # disabled, unknown
            raise HTTPError(404, "%s", not_there, reason=f"No export as {format}. {ADVICE}"[:120]) from None

    handlers.get_exporter = get_exporter
