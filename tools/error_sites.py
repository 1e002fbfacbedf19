"""Finds every place of src/ that throws a UserError or collects a Problem, and every like one of python/, and what it says.

A text that is put together at run time is shown with an ellipsis for what is not known here. Functions that add words of
their own to what they are given are followed to their callers. A place of whose message nothing is known must be described in
tools/troubleshooting.toml.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GAP = "…"
ENOUGH_WORDS = 4  # that are known of a message, for its callers to add little
# What begins such a place, up to its opening bracket.
SITE = re.compile(
    r"\b(?:fail|BadRow)(?P<call>\()|\bProblem\s*\w*(?P<list>\{)|\bproblems?\w*\.(?:push_back|emplace_back)\(\s*(?P<pushed>\{)"
    r"|\bUserError\(ExitCode::\w+,\s*(?P<thrown>\{)|\breturn (?P<returned>\{)"
)
# Of a row: what is wrong comes last; where it is, and the remedy, are added by who reads the file.
DEFECT = re.compile(r"\bthrow (?:Json|Chat)Defect(\{)")
REMEDY_OF_ROWS = "correct the row, or allow some bad ones with --skip_bad_rows N"
REMEDY_OF_CHATS = f"put a chat_template.jinja into the model's folder, or take a model that was tuned to chat; of a row: {REMEDY_OF_ROWS}"
# They carry problems that were made elsewhere, or declare what carries them.
CARRIERS = {"base/error.h", "base/error.cpp", "base/console.cpp:print_error", "formats/bad_row.h", "dist/process_group.cpp:text_of",
            "dist/process_group.cpp:error_of", "doctor/finding.cpp:require_no_problem"}  # fmt: skip


@dataclass(frozen=True)
class Site:
    path: Path  # below ROOT
    line: int
    code: str  # such as kUsage; "" where it is not said there
    problem: str
    where: str
    remedy: str


def without_comments(text: str) -> str:
    """The same length, strings kept."""
    out, at = list(text), 0
    while at < len(text):
        if text.startswith("//", at):
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            out[at:end] = " " * (end - at)
            at = end
        else:
            at = past_literal(text, at) or at + 1
    return "".join(out)


def past_literal(text: str, at: int) -> int | None:
    """The position behind a string or a character that begins at `at`."""
    if text[at] == '"':
        if at and text[at - 1] == "R":
            delimiter = re.match(r'"([^(]*)\(', text[at:])[1]
            return text.index(f'){delimiter}"', at) + len(delimiter) + 2
        at += 1
        while text[at] != '"':
            at += 2 if text[at] == "\\" else 1
        return at + 1
    if text[at] == "'" and (found := re.match(r"'(?:\\[^']+|\\'|[^'\\])'", text[at:])) and not text[at - 1].isdigit():
        return at + len(found[0])
    return None


def split_top(text: str, separator: str, at: int = 0, closes: bool = False) -> tuple[list[str], int]:
    """Parts of `text` between separators that no bracket or string holds; `closes`: up to the bracket that is not opened there."""
    parts, depth, start = [], 0, at
    while at < len(text):
        if end := past_literal(text, at):
            at = end
            continue
        if text[at] in "({[":
            depth += 1
        elif text[at] in ")}]":
            if depth == 0 and closes:
                break
            depth -= 1
        elif depth == 0 and text.startswith(separator, at):
            parts.append(text[start:at].strip())
            start = at + len(separator)
            at = start - 1
        at += 1
    parts.append(text[start:at].strip())
    return parts, at


def arguments(text: str, opening: int) -> list[str]:
    return split_top(text, ",", opening + 1, closes=True)[0]


@dataclass(frozen=True)
class Function:
    name: str
    parameters: tuple[str, ...]
    begin: int
    end: int
    required: int  # parameters that have no default
    is_lambda: bool = False


@cache
def source(path: Path) -> str:
    return without_comments((ROOT / path).read_text())


@cache
def functions(path: Path) -> list[Function]:
    text, found = source(path), []
    for match in re.finditer(r"(?:\b(\w+)\s*|\])\(([^;{}]*?)\)\s*(?:const|noexcept|->[^{;]*)?\s*(?::[^{;]*)?\{", text):
        if match[1] in {"if", "for", "while", "switch", "catch"}:
            continue
        end = split_top(text, ";", match.end(), closes=True)[1]
        names = tuple(re.sub(r"\W", "", re.split(r"[\s&*]+", part.split("=")[0].strip())[-1]) for part in split_top(match[2], ",")[0])
        lambda_name = None if match[1] else re.search(r"\bauto (\w+)\s*=\s*\[[^\]]*$", text[: match.start()])
        name = match[1] or (lambda_name[1] if lambda_name else "")
        required = sum("=" not in part for part in split_top(match[2], ",")[0])
        found.append(Function(name, names, match.start(), end, required, is_lambda=match[1] is None))
    return found


def enclosing(path: Path, at: int) -> Function | None:
    """The innermost function with a name; a lambda is its own, without one."""
    holding = [each for each in functions(path) if each.begin < at < each.end]
    return max(holding, key=lambda each: each.begin, default=None)


@cache
def constants() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in source_files():
        for name, value in re.findall(r'\b(k[A-Z]\w*)(?:\[\])?\s*=\s*((?:"(?:[^"\\]|\\.)*"\s*)+);', source(path)):
            found[f"{path}:{name}"] = value
            found.setdefault(name, value)
    return found


@cache
def source_files() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / "src").rglob("*") if path.suffix in {".h", ".cpp", ".cc"})


def literal(text: str) -> str:
    return ast.literal_eval(text) if not text.startswith("R") else text[3:-2]


def shown(expression: str, path: Path, given: dict[str, str]) -> str:
    """What an expression says; `given`: the texts of parameters."""
    expression = re.sub(r"\s+", " ", expression).strip()
    if expression in given:
        return given[expression]
    if found := re.fullmatch(r"(?:std::string|std::move|std::string_view)?\((.*)\)", expression):
        if len(split_top(found[1], ",")[0]) == 1 and split_top(found[1], ";", closes=True)[1] == len(found[1]):
            return shown(found[1], path, given)
    condition, *choices = split_top(expression, "?")[0]
    if choices:
        chosen = split_top("?".join(choices), " : ")[0]
        if len(chosen) >= 2:
            texts = dict.fromkeys(shown(choice, path, given) for choice in (chosen[0], " : ".join(chosen[1:])))
            return " / ".join(text for text in texts if text) or GAP
    terms = split_top(expression, " + ")[0]
    if len(terms) > 1:
        return "".join(shown(term, path, given) for term in terms)
    if re.fullmatch(r'(?:"(?:[^"\\]|\\.)*"\s*)+', expression):
        return "".join(literal(each) for each in re.findall(r'"(?:[^"\\]|\\.)*"', expression))
    if expression.startswith("fmt::format("):
        form, *values = arguments(expression, expression.index("("))
        texts = iter([shown(value, path, given) for value in values])
        plain = shown(form, path, given)
        return re.sub(r"\{\{|\}\}|\{[^{}]*\}", lambda hole: hole[0][0] if hole[0] in ("{{", "}}") else next(texts, GAP), plain)
    name = expression.split("::")[-1]
    if value := constants().get(f"{path}:{name}") or (constants().get(name) if name.startswith("k") else None):
        return shown(value, path, given)
    return GAP


def callers_of(function: Function, path: Path) -> Iterator[tuple[Path, int, list[str]]]:
    """In its block, where it is a lambda; else in its file, or where a header names it, in its folder."""
    if not function.name:
        return
    holder = enclosing(path, function.begin) if function.is_lambda else None
    begin, end = (function.end, holder.end) if holder else (0, len(source(path)))
    is_public = not holder and any(re.search(rf"\b{function.name}\(", source(other)) for other in source_files()
                                   if other.parent == path.parent and other.suffix == ".h")  # fmt: skip
    for other in [each for each in source_files() if each.parent == path.parent] if is_public else [path]:
        text = source(other)
        for match in re.compile(rf"(?<![:\w]){function.name}(\()").finditer(text, *(() if is_public else (begin, end))):
            before = text[: match.start()].rsplit("\n", 1)[-1]
            is_declared = re.search(r"[\w>&*\]]\s+$", before) and not before.strip().startswith("return")
            given = arguments(text, match.start(1))
            if function.required <= len(given) <= len(function.parameters) and not is_declared:
                yield other, match.start(), given


def contexts(path: Path, at: int, words: list[str], depth: int = 0) -> Iterator[tuple[Path, int, dict[str, str]]]:
    """Where the words are said, and the texts of the parameters that they hold; once for each caller."""
    function = enclosing(path, at)
    held = [name for name in (function.parameters if function else ())
            if name and any(re.search(rf"(?<![\w.\"]){name}(?![\w(.\"])", word) for word in words)]  # fmt: skip
    callers = list(callers_of(function, path)) if held and depth < 4 else []
    if not callers:
        yield path, at, {}
    for caller, place, given in callers:
        values = dict(zip(function.parameters, given))
        for _, _, known in contexts(caller, place, [values.get(name, "") for name in held], depth + 1):
            yield caller, place, {name: shown(value, caller, known) for name, value in values.items()}


def code_of(text: str, words: list[str], at: int) -> str:
    """Of a place, or of what is thrown with it in the same file."""
    if len(words) == 4:
        return ", ".join(dict.fromkeys(re.findall(r"ExitCode::(\w+)", words[0])))
    if found := re.search(r"UserError\(\s*ExitCode::(\w+),\s*(?:Problem)?\s*$", text[:at]):
        return found[1]
    thrown = set(re.findall(r"(?:throw |return )UserError\(ExitCode::(\w+), (?:std::move\()?(?:std::vector\{\*)?problem", text))
    return thrown.pop() if len(thrown) == 1 else ""


def returns_problem(function: Function | None, text: str) -> bool:
    head = text[: function.begin] if function else ""
    return re.search(r"\bProblem\b[^;{}]*$", head) is not None


def sites_of(path: Path) -> Iterator[Site]:
    text, name = source(path), str(path.relative_to("src"))
    for match in SITE.finditer(text):
        opening = match.start(match.lastgroup)
        words, function = arguments(text, opening), enclosing(path, match.start())
        if name in CARRIERS or f"{name}:{function.name if function else ''}" in CARRIERS:
            continue
        if len(words) != (4 if match[0] == "fail(" else 3) or words[0].startswith("ExitCode code"):
            continue
        if match["returned"] and not returns_problem(function, text):
            continue
        code = "kData" if match[0] == "BadRow(" else code_of(text, words, opening)
        says_enough = len(words_known(shown(words[-3], path, {}))) >= ENOUGH_WORDS
        for where, at, known in contexts(path, match.start(), [] if says_enough else words[-3:-2]):
            problem, place, remedy = (shown(word, path, known) for word in words[-3:])
            yield Site(where, source(where).count("\n", 0, at) + 1, code, problem, place, remedy)
    for match in DEFECT.finditer(text):
        reason = arguments(text, match.start(1))[-1]
        yield Site(path, text.count("\n", 0, match.start()) + 1, "kData", shown(reason, path, {}), GAP, REMEDY_OF_ROWS)


def python_text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(python_text(value) if isinstance(value, ast.Constant) else GAP for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return python_text(node.left) + python_text(node.right)
    return GAP


def python_sites() -> Iterator[Site]:
    """DriverError(problem, remedy, code), and Refusal(problem, where, remedy, kind) or Refusal(problem) of a chat."""
    codes = {"RESOURCES": "kResources", "PEERS": "kDistributed", "model": "kModel"}
    for path in sorted((ROOT / "python").rglob("*.py")):
        tree = ast.parse(path.read_text())
        texts = {target.id: node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)
                 for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in {"DriverError", "Refusal"}:
                continue
            if len(node.args) == 1:
                yield Site(path.relative_to(ROOT), node.lineno, "kModel", python_text(node.args[0]), GAP, REMEDY_OF_CHATS)
                continue
            given = [texts.get(each.id, each) if isinstance(each, ast.Name) else each for each in node.args]
            is_driver = node.func.id == "DriverError"
            last = node.args[2 if is_driver else 3 :] + [keyword.value for keyword in node.keywords]
            said = getattr(last[0], "id", getattr(last[0], "value", "")) if last else ""
            parts = [python_text(each) for each in given[: 2 if is_driver else 3]]
            problem, where, remedy = (parts[0], "", parts[1]) if is_driver else parts
            yield Site(path.relative_to(ROOT), node.lineno, codes.get(said, "kUsage"), problem, where, remedy)


def all_sites() -> list[Site]:
    return [site for path in source_files() for site in sites_of(path)] + list(python_sites())


def words_known(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]{2,}", text)


def unknown(sites: list[Site]) -> list[Site]:
    """Places of whose message no word is known here."""
    return [site for site in sites if not words_known(site.problem)]


if __name__ == "__main__":
    for site in all_sites():
        print(f"{site.path}:{site.line}\t{site.code}\t{site.where}: {site.problem}\t-> {site.remedy}")
