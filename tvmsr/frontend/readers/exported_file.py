"""`.pt2`: torch.export archives, without running what they ask for.

`torch.export.load` trusts its file: it unpickles sample inputs, pickled tensors and objects, evaluates the text of
symbolic sizes, resolves any attribute of torch as an operation and loads compiled libraries (torch 2.13). So the file
is not handed over as it is: what is plain data is read, checked, and written into a new archive in memory; only that
one is loaded.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.whole_file import read_whole

_MODEL = "models/model.json"
_CONFIGS = {"data/weights/": "weight_", "data/constants/": "tensor_"}
_SAMPLES = "data/sample_inputs/model.pt"
_COPIED = ("archive_format", "archive_version", "byteorder", ".data/version", ".data/serialization_id")
#: What a node of the graph may call: operators of ATen (but those that touch files), and arithmetic on sizes.
_TARGET = re.compile(
    r"torch\.ops\.aten\.(?!from_file)\w+\.\w+|torch\.sym_\w+|math\.(ceil|floor|trunc)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pos|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
#: What makes a description of arguments import a module that it names.
_NAMING_SPECS = ("__enum__", "default_factory")
#: The nodes of Python's syntax that a symbolic size is made of: Mul(Integer(2), Symbol('s0', integer=True)).
_SYNTAX = (ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.UnaryOp, ast.USub)
_FUNCTIONS = re.compile(
    r"(Symbol|Integer|Float|Rational|Add|Mul|Pow|Mod|Max|Min|FloorDiv|CleanDiv|PythonMod|oo|int_oo"
    r"|ToFloat|TruncToInt|TruncToFloat|FloorToInt|CeilToInt|IntTrueDiv|FloatTrueDiv)"
)
#: Floating-point numbers, which are written as texts of doubles: Float('1.5', precision=53).
_FLOAT, _PRECISION = re.compile(r"-?\d{1,20}(\.\d{1,20})?(e[-+]?\d{1,2})?"), 53
#: A size is short; powers of powers would be numbers of any length.
_LONGEST_SIZE, _MOST_POWERS, _LARGEST_NUMBER = 1000, 1, 1 << 40


def safe_archive(path: Path) -> BytesIO:
    """The archive at `path` with nothing in it that loading could run. InputFileError where it needs such things."""
    data = read_whole(path)
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            _check_members(archive, len(data))
            return _rebuilt(archive, path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError,
            NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputFileError(
            f"{path}: no archive of torch.export.save, or damaged ({reason}); write it with torch 2.8 or newer"
        ) from error


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Nothing unpacks to more than lies in the file."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it has compressed members, which torch never writes")
    if sum(member.file_size for member in members) > size:
        raise ValueError("it has members that share bytes")


def _rebuilt(archive: zipfile.ZipFile, path: Path) -> BytesIO:
    root, names = _records(archive)
    if _MODEL not in names:
        raise InputFileError(
            f"{path}: holds no exported program named 'model'; write it with torch.export.save of torch 2.8 or newer"
        )
    kept = {name: archive.read(root + name) for name in _COPIED if name in names}
    program = json.loads(archive.read(root + _MODEL))
    _check_program(program, path)
    kept[_MODEL] = json.dumps(_without_asides(program)).encode()
    for folder, prefix in _CONFIGS.items():
        config = f"{folder}model_{folder.split('/')[1]}_config.json"
        kept[config] = archive.read(root + config)
        for key, entry in json.loads(kept[config])["config"].items():
            name = str(entry["path_name"])
            if entry["use_pickle"] or not re.fullmatch(prefix + r"\d+", name):
                raise InputFileError(
                    f"{path}: {key!r} is pickled, and a pickle can run anything; export a network of plain tensors"
                )
            kept[folder + name] = archive.read(root + folder + name)
    kept[_SAMPLES] = b""  # a pickle that nobody needs
    return _written(kept)


def _records(archive: zipfile.ZipFile) -> tuple[str, set[str]]:
    """The folder in front of every record's name, and the names behind it."""
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise ValueError("two records have one name")
    root = names[0].split("/")[0] + "/" if names else ""
    return root, {name.removeprefix(root) for name in names}


def _written(records: dict[str, bytes]) -> BytesIO:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in records.items():
            archive.writestr(f"model/{name}", data)
    buffer.seek(0)
    return buffer


def _check_program(program: Any, path: Path) -> None:
    for key, value in _pairs(program):
        if key == "target" and isinstance(value, str) and not _TARGET.fullmatch(value):
            raise InputFileError(f"{path}: calls {value[:80]!r}, which is no operator of torch.ops.aten")
        if key in ("in_spec", "out_spec") and any(word in str(value) for word in _NAMING_SPECS):
            raise InputFileError(f"{path}: its arguments or results name Python objects; give it tensors alone")
        if key == "expr_str" and not _is_size(value):
            raise InputFileError(f"{path}: the symbolic size {str(value)[:80]!r} is not plain arithmetic")


def _without_asides(program: dict[str, Any]) -> dict[str, Any]:
    """The program without what resolves names or compiles text and is not needed: metadata of nodes, guards."""
    graph = program["graph_module"]["graph"]
    nodes = [{**node, "metadata": {}} for node in graph["nodes"]]
    module = {**program["graph_module"], "graph": {**graph, "nodes": nodes}}
    return {**program, "graph_module": module, "guards_code": []}


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and its value, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner)


def _is_size(text: Any) -> bool:
    if not isinstance(text, str) or len(text) > _LONGEST_SIZE or text.count("Pow") > _MOST_POWERS:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return all(isinstance(node, _SYNTAX) for node in nodes) and all(_is_harmless(node) for node in nodes)


def _is_harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return bool(_FUNCTIONS.fullmatch(node.id) or re.fullmatch(r"[su]\d+", node.id))
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name)
    if isinstance(node, ast.keyword) and node.arg == "precision":
        return isinstance(node.value, ast.Constant) and node.value.value == _PRECISION
    if isinstance(node, ast.Constant):  # the only texts are names of symbols, and floating-point numbers
        if isinstance(node.value, str):
            return bool(re.fullmatch(r"[su]\d{1,9}", node.value) or _FLOAT.fullmatch(node.value))
        return isinstance(node.value, (int, float)) and abs(node.value) <= _LARGEST_NUMBER
    return True
