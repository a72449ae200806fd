"""The reference of benchtop_batch says what its code says."""

import ast
import re

import benchtop_batch
from support import api_page


def test_the_page_is_what_docstrings_and_signatures_make_of_it():
    now = api_page.PAGE.read_text()
    assert now == api_page.written(), f"write it anew, see {api_page.__name__}"


def test_each_public_name_is_on_it():
    names = {name for name in dir(benchtop_batch) if name[0] != "_" and name not in vars(benchtop_batch)}
    assert {"slurm", "condor", "collect", "jobs", "Executor", "parsl_config", "OutOfMemoryError"} <= names
    text = api_page.PAGE.read_text()
    shown = set(re.findall(r"^### `(\w+)`", text, re.M)) | set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    assert names <= shown


def test_each_parameter_is_explained():
    explained = 0
    for _, file, nodes in api_page.sections():
        for one in (nodes[-1], *api_page.members(nodes[-1])):
            where = f"{file.name}: {one.name}"
            text = ast.get_docstring(one)
            assert text, where
            told = text.partition("\n")[2] if isinstance(one, ast.ClassDef) else text
            for name in api_page.parameters(one):
                assert re.search(rf"\b{name}: ", told) or one.name == "scale", f"{where}: {name}"
                explained += 1
    assert explained > 40


def test_each_field_is_explained():
    explained = 0
    for _, file, nodes in api_page.sections():
        for name, _kind, said in api_page.fields(nodes[-1]):
            assert said or name == "reason", f"{file.name}: {name}"
            explained += 1
    assert explained > 25
