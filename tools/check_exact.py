"""Lint of DESIGN section 5: the code between updates and checkpoints may only compute what is exact on every machine.

    python tools/check_exact.py [PATH ...]        default: src/attestrain/update and src/attestrain/rules

IEEE 754 fixes the results of + - * /, square root, rounding to integer and comparisons; integers are exact; sorting is
fixed by the order and its stability. Everything else (sums of floats, whose order depends on vector width and threads;
BLAS; exp, cos and their kin, which differ between maths libraries) must not appear. The lint is a list of what is
allowed, so a numpy function nobody thought of is refused. It reads names, not types: what it cannot see (an `@`
hidden in a caller, say) the cross-machine tests must catch.

Rules
    import      only the standard library (less `random`, `statistics`, `cmath`), `numpy as np`, attestrain
    numpy       every `np.x` is on the list; `np` itself is never passed around; `np.matmul` only in `update/whole.py`
    method      no inexact or unordered method of arrays is called
    reduction   sum and cumsum name an integer dtype
    sort        sorts are stable, and `np.partition` is read at one position only
    power       `**` only between integer literals; `pow` and `@` never
    math        only the exact functions of `math`
    random      `np.random.Philox` in one file at most
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PATHS = ("src/attestrain/update", "src/attestrain/rules")


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


INTEGER_TYPES = _names("int8 int16 int32 int64 uint8 uint16 uint32 uint64 intp")
NUMPY = INTEGER_TYPES | _names(
    # types, constants and inspection
    "bool_ float16 float32 float64 dtype generic integer floating ndarray newaxis inf nan iinfo finfo errstate",
    "random random.Philox",
    # making, viewing and moving
    "array asarray ascontiguousarray frombuffer fromiter zeros ones empty full zeros_like ones_like empty_like",
    "full_like arange copy copyto reshape ravel transpose swapaxes moveaxis broadcast_to expand_dims squeeze",
    "concatenate stack hstack vstack split array_split pad flip roll repeat tile take take_along_axis put",
    "put_along_axis where select choose compress nonzero flatnonzero argwhere unravel_index ravel_multi_index indices",
    # elementwise, correctly rounded or exact
    "add subtract multiply divide true_divide floor_divide remainder mod divmod negative positive sqrt square abs",
    "absolute fabs sign copysign signbit rint floor ceil trunc minimum maximum clip ldexp frexp nextafter spacing",
    "isfinite isnan isinf diff",
    # comparisons, logic and bits
    "equal not_equal less less_equal greater greater_equal array_equal logical_and logical_or logical_xor",
    "logical_not bitwise_and bitwise_or bitwise_xor bitwise_not invert left_shift right_shift bitwise_count packbits",
    "unpackbits",
    # order-free reductions, integer reductions, sorting, searching
    "any all max min amax amin argmax argmin count_nonzero maximum.reduce minimum.reduce logical_or.reduce",
    "logical_and.reduce bitwise_or.reduce bitwise_xor.reduce maximum.reduceat minimum.reduceat sum cumsum add.reduce",
    "add.reduceat add.accumulate bincount sort argsort lexsort searchsorted unique partition isin intersect1d",
    "setdiff1d",
)
PRODUCTS = "update/whole.py"
"""The one file that may call BLAS, on integers whose sums it knows to stay within 53 bits."""
REFUSED_METHODS = _names(
    # what arrays offer beyond the exact: float reductions, BLAS, unstable order, other formats
    "argpartition choose compress cumprod diagonal dot dump dumps getfield mean newbyteorder partition prod ptp round",
    "setfield std tofile tostring trace var",
)
REDUCTIONS = _names("sum cumsum add.reduce add.reduceat add.accumulate")
SORTS = _names("sort argsort")
UFUNC_METHODS = _names("reduce reduceat accumulate outer at")
MATH = _names("sqrt ldexp frexp isfinite isnan isinf isqrt gcd lcm floor ceil trunc copysign inf nan comb prod")
INEXACT_STANDARD = _names("random statistics cmath")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One broken rule at one place."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def check_source(source: str, path: str) -> list[Finding]:
    """Findings in one file, in line order."""
    tree = ast.parse(source, filename=path)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    allowed = NUMPY | {"matmul"} if Path(path).as_posix().endswith(PRODUCTS) else NUMPY
    found = [
        Finding(path, getattr(node, "lineno", 1), rule, message)
        for node in ast.walk(tree)
        for rule, message in _check_node(node, parents, allowed)
    ]
    return sorted(found)


def check_paths(paths: list[Path]) -> list[Finding]:
    """Findings in every Python file under ``paths``."""
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py")))
    found, philox = [], []
    for file in files:
        source = file.read_text(encoding="utf-8")
        found += check_source(source, str(file))
        philox += [file] if "random.Philox" in source else []
    found += [
        Finding(str(file), 1, "random", f"np.random.Philox is already used in {philox[0]}") for file in philox[1:]
    ]
    return sorted(found)


Broken = Iterator[tuple[str, str]]
"""Rule and message of each rule that a node breaks."""
Parents = dict[ast.AST, ast.AST]


def _check_node(node: ast.AST, parents: Parents, allowed: frozenset[str]) -> Broken:
    match node:
        case ast.Import():
            yield from _check_import(node)
        case ast.ImportFrom():
            yield from _check_import_from(node)
        case ast.Name(id="np"):
            yield from _check_numpy(node, parents, allowed)
        case ast.Name(id="math"):
            yield from _check_math(node, parents)
        case ast.Name(id="pow" | "eval" | "exec" | "__import__" as name):
            yield "power" if name == "pow" else "import", f"{name} is not allowed here"
        case ast.Call():
            yield from _check_call(node, parents)
        case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
            yield "power", "@ runs BLAS, whose order of summation is not fixed"
        case ast.BinOp(op=ast.Pow()) if not (_is_integer(node.left) and _is_integer(node.right)):
            yield "power", "** is only exact between integer literals: use multiplication, << or ldexp"
        case ast.AugAssign(op=ast.Pow()):
            yield "power", "**= is only exact on integers: use multiplication, << or ldexp"


def _check_import(node: ast.Import) -> Broken:
    for alias in node.names:
        top = alias.name.split(".")[0]
        if top == "numpy":
            if (alias.name, alias.asname) != ("numpy", "np"):
                yield "import", "numpy is only imported as `import numpy as np`, so that its use can be read"
        elif top == "math" and alias.asname not in (None, "math"):
            yield "import", "math keeps its name, so that its use can be read"
        elif not _may_import(top):
            yield "import", f"{alias.name} has no place in exact code"


def _check_import_from(node: ast.ImportFrom) -> Broken:
    module = node.module or ""
    top = module.split(".")[0]
    if node.level or top == "attestrain" or module == "numpy.typing":
        return
    names = {alias.name for alias in node.names}
    if module == "math":
        yield from (("math", f"math.{name} is not exact") for name in sorted(names - MATH))
    elif top == "numpy":
        yield "import", "numpy is only imported as `import numpy as np`, so that its use can be read"
    elif not _may_import(top):
        yield "import", f"{module} has no place in exact code"


def _may_import(top: str) -> bool:
    return top == "attestrain" or (top in sys.stdlib_module_names and top not in INEXACT_STANDARD)


def _check_numpy(node: ast.Name, parents: Parents, allowed: frozenset[str]) -> Broken:
    """The longest chain np.a.b that starts here: listed, or a listed function's attribute."""
    chain = _chain(node, parents)
    if not chain:
        yield "numpy", "np itself is passed around, which hides what is called"
    elif chain[0] == "random" and chain[:2] != ["random", "Philox"]:
        yield "random", f"np.{'.'.join(chain)}: only np.random.Philox and its raw integers"
    else:
        name = ".".join(chain[: 2 if len(chain) > 1 and chain[1] in UFUNC_METHODS else 1])
        if name not in allowed:
            yield "numpy", f"np.{name} is not on the list of exact functions"


def _check_math(node: ast.Name, parents: Parents) -> Broken:
    chain = _chain(node, parents)
    if not chain or chain[0] not in MATH:
        yield "math", f"math.{'.'.join(chain)} is not exact on every machine"


def _chain(node: ast.Name, parents: Parents) -> list[str]:
    names: list[str] = []
    current: ast.AST = node
    while isinstance(parent := parents.get(current), ast.Attribute):
        names.append(parent.attr)
        current = parent
    return names


def _check_call(node: ast.Call, parents: Parents) -> Broken:
    if not isinstance(node.func, ast.Attribute):
        return
    dotted = _dotted(node.func)
    if dotted is not None and not dotted.startswith("np."):
        return
    name = dotted.removeprefix("np.") if dotted is not None else node.func.attr
    if dotted is None and name in REFUSED_METHODS:
        yield "method", f".{name}() of an array is not exact on every machine"
    if name in REDUCTIONS and not _integer_dtype(node):
        yield "reduction", f"{name} must name an integer dtype: a sum of floats depends on its order"
    if name == "bincount" and (len(node.args) > 1 or any(word.arg == "weights" for word in node.keywords)):
        yield "reduction", "bincount with weights adds floats"
    if name in SORTS and _keyword(node, "kind") != "stable":
        yield "sort", f'{name} needs kind="stable" (for lists: sorted)'
    if name == "partition" and dotted is not None and not _read_at_one_position(node, parents):
        yield "sort", "np.partition leaves the order inside its parts open: read one position of it"


def _dotted(node: ast.Attribute) -> str | None:
    """`np.a.b` or `math.a` as text; None for an attribute of anything else."""
    names = [node.attr]
    value = node.value
    while isinstance(value, ast.Attribute):
        names.append(value.attr)
        value = value.value
    if isinstance(value, ast.Name) and value.id in ("np", "math"):
        return ".".join([value.id, *reversed(names)])
    return None


def _integer_dtype(node: ast.Call) -> bool:
    dtype = next((word.value for word in node.keywords if word.arg == "dtype"), None)
    return isinstance(dtype, ast.Attribute) and (_dotted(dtype) or "").removeprefix("np.") in INTEGER_TYPES


def _keyword(node: ast.Call, name: str) -> object:
    value = next((word.value for word in node.keywords if word.arg == name), None)
    return value.value if isinstance(value, ast.Constant) else None


def _read_at_one_position(node: ast.Call, parents: Parents) -> bool:
    parent = parents.get(node)
    return isinstance(parent, ast.Subscript) and not isinstance(parent.slice, ast.Slice | ast.Tuple)


def _is_integer(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def main(arguments: list[str]) -> int:
    """Print the findings; return 1 if there are any or nothing was there to check."""
    paths = [Path(argument) for argument in arguments or DEFAULT_PATHS]
    missing = [path for path in paths if not path.exists()]
    findings = check_paths([path for path in paths if path.exists()])
    for line in [*(f"{path}: nothing there to check" for path in missing), *findings]:
        print(line)
    return 1 if findings or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
