"""The reference of benchtop_batch, made of docstrings and signatures. To write it anew:

    PYTHONPATH=tests .venv/bin/python -m support.api_page

It reads the sources, because not everything can be imported where this runs: Dask and Parsl are not there.
"""

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lab/batch/benchtop_batch"
PAGE = ROOT / "docs/reference/benchtop-batch.md"
MARK = "<!-- What follows is made of docstrings, by tests/support/api_page.py. -->\n"
WIDE = 110  # characters of a line
INTERNAL = {"batch", "succeed", "fail", "description", "engines", "find_args", "start", "notify_stop", "raw"}
MADE_BY_CALLING = {"Executor", "Cluster"}  # the other classes are what comes back
SECTIONS = {
    "Functions as jobs": {
        "calls/function.py": ["slurm", "condor", "collect", "Function"],
        "calls/options.py": ["Common", "SlurmOptions", "CondorOptions"],
        "calls/futures.py": ["Future", "Futures"],
    },
    "Why there is no result": {
        "calls/failed.py": [
            "OptionError", "NotSubmittedError", "JobError", "OutOfMemoryError", "TimeLimitError",
            "HeldError", "NodeLostError", "JobCancelledError", "PreemptedError", "NoSpaceError",
            "CrashedError", "RemoteError",
        ],
        "unsendable.py": ["UnsendableError"],
        "network.py": ["UnavailableError"],
    },
    "Jobs": {"listing/overview.py": ["jobs", "Jobs"], "listing/job.py": ["Job", "CannotCancelError"]},
    "Other libraries' workers": {
        "executor.py": ["Executor"],
        "parsl_cluster.py": ["parsl_config"],
        "dask/clusters.py": ["BatchCluster", "SLURMCluster", "HTCondorCluster", "Cluster"],
        "engines/launchers.py": ["SlurmEngines", "HTCondorEngines", "Controller"],
    },
    "The site": {"place.py": ["clusters"], "at_import.py": ["begin"]},
}  # fmt: skip
Defined = ast.FunctionDef | ast.ClassDef


def sections() -> Iterator[tuple[str, Path, list[Defined]]]:
    """Heading, file, and each definition of a name: overloads first, what they stand for last."""
    for heading, files in SECTIONS.items():
        for name, wanted in files.items():
            tree = ast.parse((PACKAGE / name).read_text())
            known = [node for node in tree.body if isinstance(node, Defined)]
            for one in wanted:
                yield heading, PACKAGE / name, [node for node in known if node.name == one]


def made() -> str:
    """What follows the mark."""
    lines, last, table = [], "", False
    for heading, file, nodes in sections():
        if heading != last:
            lines += [f"## {heading}", ""]
            last, table = heading, False
        node = nodes[-1]
        if row := _row(node):
            if not table:
                lines += ["| exception | is | when | `reason` |", "|---|---|---|---|"]
            lines[-1:] = [row, ""] if lines[-1] == "" else [lines[-1], row, ""]
            table = True
            continue
        table = False
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        where = [] if node.name in _public() else [f"In `{module}`.", ""]
        constants = _constants(file)
        lines += [f"### `{node.name}`", "", *where, *_code(nodes, constants), "", *_text(node)]
        lines += _members(node, constants)
    return "\n".join(lines).rstrip() + "\n"


def _row(node: Defined) -> str:
    """An exception that one line says all of, as one of a table."""
    text = ast.get_docstring(node) or ""
    if not isinstance(node, ast.ClassDef) or not node.name.endswith("Error") or "\n" in text:
        return ""
    reason = next((f"`{kind}`" for name, kind, _ in fields(node) if name == "reason"), "")
    return f"| `{node.name}` | `{', '.join(_bases(node))}` | {text} | {reason} |"


def _bases(node: ast.ClassDef) -> list[str]:
    """But those that nobody else uses; what is of Dask by the name that it has there."""
    names = [ast.unparse(base) for base in node.bases]
    return [
        name.replace("Upstream", "dask_jobqueue.")
        for name in names
        if name[0] != "_" and name != "SentenceError"
    ]


def _constants(file: Path) -> dict[str, str]:
    """Values of a module that stand for defaults."""
    return {
        ast.unparse(node.targets[0]): repr(node.value.value)
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }


def _public() -> set[str]:
    """Names of the package itself."""
    text = (PACKAGE / "__init__.py").read_text()
    return set(re.findall(r'"(\w+)"', text.partition("__getattr__, __dir__")[2]))


def _code(nodes: list[Defined], constants: dict[str, str]) -> list[str]:
    shown = []
    overloads = [node for node in nodes if _is(node, "overload")]
    for node in overloads or nodes:
        if isinstance(node, ast.FunctionDef):
            shown.append(f"def {signature(node, constants)}")
        else:
            bases = ", ".join(_bases(node))
            shown.append(f"class {node.name}({bases})" if bases else f"class {node.name}")
            if node.name in MADE_BY_CALLING:
                shown.append(signature(_method(node, "__init__"), constants, node.name))
    return ["```python", *shown, "```"]


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef:
    return next(one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == name)


def _is(node: ast.AST, decorator: str) -> bool:
    return any(ast.unparse(one) == decorator for one in getattr(node, "decorator_list", ()))


def signature(node: ast.FunctionDef, constants: dict[str, str], name: str = "") -> str:
    """As it is called: without self, with types and defaults."""
    given = node.args
    for default in [*given.defaults, *given.kw_defaults]:
        if isinstance(default, ast.Name):
            default.id = constants.get(default.id, default.id)
    arguments = re.sub(r"^self(, /)?(, )?", "", ast.unparse(given)).replace("=", " = ")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and not name else ""
    text = f"{name or node.name}({arguments}){returns}".replace("'", '"')
    return re.sub(r'"(concurrent[^"]*)"', r"\1", text) if len(text) < WIDE else _broken(text)


def _broken(text: str) -> str:
    """One parameter a line."""
    depth, shown = 0, ""
    for index, letter in enumerate(text):
        closes = letter == ")" and depth == 1 and ")" not in text[index + 1 :].partition(" -> ")[0]
        depth += (letter in "([") - (letter in ")]")
        if closes:
            shown += ",\n"
        shown += letter
        if depth == 1 and letter == "(" and "\n" not in shown:
            shown += "\n    "
        elif depth == 1 and letter == ",":
            shown += "\n   "
    return shown


def parameters(node: Defined) -> list[str]:
    """Names that somebody may or has to give."""
    if isinstance(node, ast.ClassDef):
        return parameters(_method(node, "__init__")) if node.name in MADE_BY_CALLING else []
    found = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    starred = [one for one in (node.args.vararg, node.args.kwarg) if one]
    return [one.arg for one in (*found, *starred) if one.arg != "self"]


def members(node: Defined) -> Iterator[ast.FunctionDef]:
    """Methods and properties that are somebody's to use."""
    for one in node.body if isinstance(node, ast.ClassDef) else ():
        if not isinstance(one, ast.FunctionDef) or one.name in INTERNAL:
            continue
        if one.name == "__call__" or not one.name.startswith("_"):
            yield one


def _members(node: Defined, constants: dict[str, str]) -> list[str]:
    lines = []
    if rows := fields(node):
        lines += ["| name | type or default | |", "|---|---|---|"]
        lines += [
            f"| `{name}` | `{kind.replace('|', chr(92) + '|')}` | {said} |" for name, kind, said in rows
        ] + [""]
    for one in members(node):
        shown = f"{one.name}: {ast.unparse(one.returns)}" if _is(one, "property") and one.returns else ""
        shown = shown or signature(one, constants).replace("__call__", "f", 1)
        lines += [f"**`{shown}`**", "", *_text(one)]
    return lines


def fields(node: Defined) -> list[tuple[str, str, str]]:
    """Fields of a dataclass or of options, settings of a launcher, and the reason of an exception."""
    rows = []
    body = node.body if isinstance(node, ast.ClassDef) else []
    for one, after in itertools.zip_longest(body, body[1:]):
        said = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            said = " ".join(str(after.value.value).split())
        if isinstance(one, ast.AnnAssign):
            value = f" = {ast.unparse(one.value)}" if one.value else ""
            rows.append((ast.unparse(one.target), f"{ast.unparse(one.annotation)}{value}", said))
        elif isinstance(one, ast.Assign) and isinstance(one.value, ast.Call):
            helps = [ast.unparse(word.value).strip("'") for word in one.value.keywords if word.arg == "help"]
            rows += [(ast.unparse(one.targets[0]), ast.unparse(one.value.args[0]), text) for text in helps]
        elif isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "reason":
            rows.append(("reason", ast.unparse(one.value), ""))
    return [
        (name, kind.replace("'", '"'), said)
        for name, kind, said in rows
        if name[0] != "_"
        and name not in INTERNAL
        and not kind.startswith("ClassVar")
        and node.name not in {"Controller", "JobError"}
    ]


def _text(node: Defined) -> list[str]:
    """A docstring as a page has it: names of parameters as a list, examples as code."""
    names = {*parameters(node)}
    if isinstance(node, ast.ClassDef):
        names |= {name for one in node.body if isinstance(one, ast.FunctionDef) for name in parameters(one)}
    lines: list[str] = []
    for part in (ast.get_docstring(node) or "").split("\n\n"):
        if part.startswith(">>>"):
            lines += ["```python", *part.split("\n"), "```", ""]
            continue
        listed = False
        for line in part.split("\n"):
            pieces = re.split(rf"; (?=(?:{'|'.join(names) or '-'}): )", line)
            for piece in pieces:
                name = re.match(r"(\w+): ", piece)
                if name and name[1] in names:
                    if lines and lines[-1] and not listed:
                        lines.append("")
                    lines.append(f"- `{name[1]}`: {piece[name.end() :]}")
                    listed = True
                elif listed and not line.startswith(" "):
                    lines += ["", piece]
                    listed = False
                else:
                    lines.append(f"  {piece.strip()}" if listed else piece)
        lines.append("")
    return lines


def written() -> str:
    """The page as it is to be: its beginning is somebody's own."""
    return PAGE.read_text().partition(MARK)[0] + MARK + "\n" + made()


if __name__ == "__main__":
    PAGE.write_text(written())
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written.\n")
