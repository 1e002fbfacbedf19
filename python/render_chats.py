"""Renders chats with a model's own template: the child of the commands that read rows of messages.

One JSON object a line on standard input, one answer a line on standard output. The first is {"model": folder,
"added_tokens": [texts]}, answered by {} or {"missing": what this Python lacks} or {"error": what is wrong with the
template}. Each other one is {"ask": "training" or "prompts", "rows": [{"messages", "tools"}]}, answered by {"rows":
[...]}, an object for each row: {"error": text} where the template refuses it, else for training {"text", "bounds",
"closed"}: begin and end, in bytes, of each turn that the model is to write, and whether the last one ends in a token of
the template; for prompts {"prompt", "label", "closing"}: what to generate from, the turn that is wanted, its last token.
"""

import json
import re
import secrets
import signal
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

try:
    import jinja2
    import jinja2.ext
    from jinja2 import nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    print(json.dumps({"missing": "jinja2"}), flush=True)
    sys.exit()

Row = dict[str, Any]
Messages = list[dict[str, Any]]
OLDEST_JINJA = "3.1.6"  # templates get out of the sandbox of earlier ones
ROW_SECONDS = 20  # that a template may take
SPECIAL_TOKENS = tuple(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
REASONING = ("reasoning_content", "thinking", "reasoning")  # the first is what most templates read

# The template writes them into its text where a turn begins or ends, while marks are on.
NONCE = secrets.token_hex(8)
MARK = re.compile(f"\ue000{NONCE}:([0-9]+):([0-9]*)\ue001")
GENERATION = 0  # in the place of a loop's number


class Refusal(Exception):
    """A row that cannot be taken; the text says why."""


class Marker:
    """Writes marks for the messages that are being rendered, or nothing."""

    def __init__(self) -> None:
        self.messages: dict[int, int] | None = None  # from the id() of a message to its place; None: marks are off

    def __call__(self, loop: int, item: Any = None) -> str:
        """Before each round of a loop with its item, behind the loop without one."""
        if self.messages is None:
            return ""
        place = self.messages.get(id(item))
        return "" if place is None and item is not None else self.mark(loop, place)

    def mark(self, loop: int, place: int | None) -> str:
        return f"\ue000{NONCE}:{loop}:{'' if place is None else place}\ue001"


class GenerationTag(jinja2.ext.Extension):
    """{% generation %}: a template's own word on what the model writes."""

    tags = {"generation"}

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_generation"), [], [], body).set_lineno(line)

    def _generation(self, caller: Any) -> str:
        text, marker = caller(), self.environment.globals["mark_turn"]
        if marker.messages is None:
            return text
        return marker.mark(GENERATION, 0) + text + marker.mark(GENERATION, None)


class PlainDict:
    """dict() for templates: a call and fromkeys, and no way to the class."""

    def __call__(self, *arguments: Any, **items: Any) -> dict[Any, Any]:
        return dict(*arguments, **items)

    def fromkeys(self, *arguments: Any) -> dict[Any, Any]:
        return dict.fromkeys(*arguments)


class PlainNamespace(jinja2.utils.Namespace):
    """namespace() for templates: no name of Python's own machinery can be set."""

    def __init__(*arguments: Any, **items: Any) -> None:
        values = dict(*arguments[1:], **items)
        for name in values:
            PlainNamespace.check(name)
        jinja2.utils.Namespace.__init__(arguments[0], values)

    def __setitem__(self, name: str, value: Any) -> None:
        PlainNamespace.check(name)
        super().__setitem__(name, value)

    @staticmethod
    def check(name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a template cannot set {name!r} on a namespace")


def make_environment() -> ImmutableSandboxedEnvironment:
    """What transformers gives to chat templates, and mark_turn, which marked() puts into them."""

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    extensions = [GenerationTag, jinja2.ext.loopcontrols]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = tojson
    environment.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": PlainDict(),
        "namespace": PlainNamespace,
        "mark_turn": Marker(),
    }
    return environment


def put_marks(node: nodes.Node, numbers: Iterator[int]) -> nodes.Node:
    """Has each loop of a template tell mark_turn() what it goes over."""

    def call(loop: nodes.For, number: int, arguments: list[nodes.Expr]) -> nodes.Output:
        mark = nodes.Name("mark_turn", "load")
        output = nodes.Output([nodes.Call(mark, [nodes.Const(number), *arguments], [], None, None)])
        return output.set_environment(loop.environment).set_lineno(loop.lineno)

    for child in node.iter_child_nodes():
        put_marks(child, numbers)
    for _, value in node.iter_fields():
        loops = [item for item in value if isinstance(item, nodes.For)] if isinstance(value, list) else []
        for loop in loops:
            if isinstance(loop.target, nodes.Name):
                number = next(numbers)
                loop.body.insert(0, call(loop, number, [nodes.Name(loop.target.name, "load")]))
                value.insert(value.index(loop) + 1, call(loop, number, []))
    return node


class ChatTemplate:
    def __init__(self, environment: ImmutableSandboxedEnvironment, source: str, special_tokens: dict[str, str]) -> None:
        tree = put_marks(environment.parse(source), count(GENERATION + 1))
        self.template = environment.from_string(tree)
        self.special_tokens = special_tokens
        self.marker = environment.globals["mark_turn"]

    def render(self, messages: Messages, tools: Any, add_generation_prompt: bool = False) -> str:
        return self.template.render(
            messages=messages,
            tools=tools,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **self.special_tokens,
        )

    def regions(self, messages: Messages, tools: Any, text: str) -> tuple[dict[int, tuple[int, int]], list[tuple[int, int]]]:
        """What each message adds to `text`, the rendered messages, and what the template itself marks as generated."""
        self.marker.messages = {id(message): place for place, message in enumerate(messages)}
        try:
            marked = self.render(messages, tools)
        finally:
            self.marker.messages = None
        if MARK.sub("", marked) != text:
            raise Refusal("the chat template changes what it writes where turns are marked in it")
        by_message: dict[int, tuple[int, int]] = {}
        generated: list[tuple[int, int]] = []
        opened: dict[int, tuple[int, int]] = {}  # by loop: place of the message, begin
        shift = 0
        for mark in MARK.finditer(marked):
            loop, at = int(mark[1]), mark.start() - shift
            shift += len(mark[0])
            if loop in opened:
                place, begin = opened.pop(loop)
                if loop == GENERATION:
                    generated.append((begin, at))
                elif place not in by_message or at - begin > by_message[place][1] - by_message[place][0]:
                    by_message[place] = (begin, at)
            if mark[2]:
                opened[loop] = (int(mark[2]), at)
        return by_message, generated


class AddedTokens:
    """The texts that the tokenizer takes whole."""

    def __init__(self, texts: list[str]) -> None:
        self.longest = max(map(len, texts), default=0)
        either = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)) or r"(?!)"
        self.any = re.compile(either)
        self.next = re.compile(rf"\s*({either})")
        self.last = re.compile(rf"({either})\s*\Z")

    def common(self, one: str, other: str) -> int:
        """Characters at the beginning that both texts have, without a part of a token."""
        below, above = 0, min(len(one), len(other))
        while below < above:
            middle = (below + above + 1) // 2
            if one.startswith(other[below:middle], below):
                below = middle
            else:
                above = middle - 1
        for text in (one, other):
            for token in self.any.finditer(text, max(0, below - self.longest)):
                if token.start() < below < token.end():
                    below = token.start()
        return below


class Renderer:
    def __init__(self, model: str, added_tokens: list[str]) -> None:
        folder = Path(model)
        config = read_json(folder / "tokenizer_config.json")
        others = read_json(folder / "special_tokens_map.json")
        special_tokens = {}
        for name in SPECIAL_TOKENS:
            value = config.get(name) or others.get(name)
            text = value.get("content") if isinstance(value, dict) else value
            if text is not None:
                special_tokens[name] = text
        environment = make_environment()
        self.templates = {
            name: ChatTemplate(environment, source, special_tokens) for name, source in read_sources(folder, config).items()
        }
        if not self.templates:
            raise Refusal("the model has no chat template")
        self.added = AddedTokens(added_tokens)

    def template(self, tools: Any) -> ChatTemplate:
        """As transformers chooses: the one for tools where there are any and it has one."""
        name = "tool_use" if tools is not None and "tool_use" in self.templates else "default"
        if name not in self.templates:
            names = ", ".join(sorted(self.templates))
            raise Refusal(f"none of the model's chat templates is the default one; it has {names}")
        return self.templates[name]

    def training(self, row: Row) -> dict[str, Any]:
        messages, tools = chat_of(row)
        text, turns = self.turns(messages, tools)
        bounds = []
        at = bytes_before = 0
        for bound in (bound for begin, end, _ in turns for bound in (begin, end)):
            bytes_before += len(text[at:bound].encode())
            at = bound
            bounds.append(bytes_before)
        return {"text": text, "bounds": bounds, "closed": bool(turns) and turns[-1][2]}

    def prompt(self, row: Row) -> dict[str, Any]:
        """What is generated from to get the last assistant turn, and that turn."""
        messages, tools = chat_of(row)
        last = max((place for place, message in enumerate(messages) if is_assistant(message)), default=None)
        if last is None:
            raise Refusal("the chat has no assistant turn to compare with")
        text, turns = self.turns(messages[: last + 1], tools)
        if not turns:
            raise Refusal("the chat template writes no assistant turn")
        begin, end, _ = turns[-1]
        closing = self.added.last.search(text, begin, end)
        prompt = self.template(tools).render(messages[:last], tools, add_generation_prompt=True)
        label = text[begin : closing.start() if closing else end]
        return {"prompt": prompt, "label": label, "closing": closing[1] if closing else None}

    def turns(self, messages: Messages, tools: Any) -> tuple[str, list[tuple[int, int, bool]]]:
        template = self.template(tools)
        text = template.render(messages, tools)
        regions, generated = template.regions(messages, tools, text)
        if generated:
            return text, [(begin, end, self.added.last.search(text, begin, end) is not None) for begin, end in generated]
        turns = []
        for place, message in enumerate(messages):
            if not is_assistant(message):
                continue
            if place not in regions:
                advice = "put {% generation %} into it"
                raise Refusal(f"the chat template does not show where message {place} begins: {advice}")
            begin, end = regions[place]
            begin += self.header_length(template, messages[:place], tools, text[begin:end])
            is_last = place == len(messages) - 1
            turns.append((begin, *self.end_of_turn(text, begin, end, is_last)))
        return text, turns

    def header_length(self, template: ChatTemplate, before: Messages, tools: Any, region: str) -> int:
        """How much of a turn stands in the generation prompt already, so that the model does not write it."""
        before = before or [{"role": "user", "content": ""}]
        bare, prompt = (template.render(before, tools, add_generation_prompt=ask) for ask in (False, True))
        header = prompt[self.added.common(bare, prompt) :]
        if region.startswith(header):
            return len(header)
        # Less of it: a prompt may open what earlier turns leave out, such as <think>.
        skipped = len(region) - len(region.lstrip())
        header = header.lstrip()
        common = self.added.common(region[skipped:], header)
        if common == len(header):
            return skipped + common if header else 0
        ends = [token.end() for token in self.added.any.finditer(header, 0, common)]
        ends.append(header.rfind("\n", 0, common) + 1)
        if max(ends) == 0:
            found = f"{region[:30]!r}, and its generation prompt ends in {header!r}"
            raise Refusal(f"the chat template begins a turn with {found}")
        return skipped + max(ends)

    def end_of_turn(self, text: str, begin: int, end: int, is_last: bool) -> tuple[int, bool]:
        """The end of what the model writes: its closing token; what stands between turns is behind it."""
        if closing := self.added.last.search(text, begin, end):
            return closing.end(1), True
        # Some write it once, behind all turns.
        if is_last and (closing := self.added.next.match(text, end)):
            return closing.end(), True
        return end, False


def is_assistant(message: dict[str, Any]) -> bool:
    return message.get("role") == "assistant"


def chat_of(row: Row) -> tuple[Messages, Any]:
    """Messages and tools as transformers hands them to a template."""
    messages = []
    for given in row["messages"]:
        message = {key: value for key, value in given.items() if value is not None}
        reasoning = next((message[key] for key in REASONING if key in message), None)
        if reasoning is not None:
            message = {"thinking": reasoning, **message, "reasoning_content": reasoning}
        messages.append(message)
    return messages, row.get("tools") or None


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def read_sources(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """By name; files of their own come before tokenizer_config.json."""
    default = folder / "chat_template.jinja"
    sources = {"default": default.read_text(encoding="utf-8")} if default.exists() else {}
    # As transformers has it, one of these may be named default too.
    sources |= {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("additional_chat_templates/*.jinja")}
    if sources:
        return sources
    given = config.get("chat_template") or {}
    if isinstance(given, str):
        return {"default": given}
    return {item["name"]: item["template"] for item in given} if isinstance(given, list) else given


def too_long(*_: Any) -> None:
    raise Refusal(f"the chat template takes more than {ROW_SECONDS} s")


def answers(renderer: Renderer, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    answer = {"training": renderer.training, "prompts": renderer.prompt}[request["ask"]]
    for row in request["rows"]:
        try:
            signal.alarm(ROW_SECONDS)
            yield answer(row)
        except Exception as error:  # the template is foreign code, and fails as it likes
            yield {"error": " ".join(str(error).split()) or type(error).__name__}
        finally:
            signal.alarm(0)


def say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()


def numbers_of(version: str) -> list[int]:
    return [int(number) for number in re.findall("[0-9]+", version)[:3]]


def main() -> None:
    if numbers_of(jinja2.__version__) < numbers_of(OLDEST_JINJA):
        return say({"missing": f"jinja2 {OLDEST_JINJA} or later, it has {jinja2.__version__}"})
    first = json.loads(sys.stdin.buffer.readline())
    try:
        renderer = Renderer(first["model"], first["added_tokens"])
    except (Refusal, jinja2.TemplateError, ValueError, OSError) as error:
        return say({"error": str(error)})
    say({})
    signal.signal(signal.SIGALRM, too_long)
    for line in sys.stdin.buffer:
        say({"rows": list(answers(renderer, json.loads(line)))})


if __name__ == "__main__":
    main()
