"""Chats, chat templates with their traps, and model folders that have them."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import AddedToken, PreTrainedTokenizerFast

from reference import hf_train, tiny_models

Chat = dict[str, Any]

WORDS = [
    *"tea rain Zürich 北京 naïve \U0001f600 don't 3.14 {x} <b> 1234567 e\u0301".split(" "),
    *("", "I'm\n\n-", '"quoted"', "\\n", "tab\there"),
]
CHATML_TURN = r"<\|im_start\|>assistant\n(.*?<\|im_end\|>)"

# Thoughts of the turns behind the last question stay, earlier ones go: what a turn looks like depends on what follows.
THINKING = """
{%- set seen = namespace(question=-1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {%- set seen.question = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if message.role == 'assistant' and loop.index0 > seen.question %}
        {{- '<think>\n' + (message.reasoning_content or '') + '\n</think>\n\n' }}
    {%- endif %}
    {{- message.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}"""

# The prompt opens a thought that no turn has.
OPENED_THOUGHT = """
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + message.content.split('</think>')[-1] + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n<think>\n' }}
{%- endif %}"""

# No generation prompt; refuses roles that do not alternate.
STRICT = """{{ bos_token }}
{%- for message in messages %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate: user, assistant, user, ...') }}
    {%- endif %}
    {%- if message.role == 'user' %}
        {{- '[INST] ' + message.content + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message.content + eos_token }}
    {%- endif %}
{%- endfor %}"""

# No token of its own at all.
PLAIN = """
{%- for message in messages %}
    {{- 'Human:' if message.role == 'user' else 'Assistant:' if message.role == 'assistant' else 'Note:' }}
    {{- ' ' + message.content + '\n\n' }}
{%- endfor %}
{{- 'Assistant:' if add_generation_prompt }}"""

# The end of sequence stands once, behind all turns.
LATE_END = """
{%- for message in messages %}
    {{- '### ' + message.role + '\n' + message.content + '\n' }}
{%- endfor %}
{{- '### assistant\n' if add_generation_prompt else eos_token }}"""

MARKED = """
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}{% generation %}{{ message.content }}{{ '<|im_end|>' }}{% endgeneration %}{{ '\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}"""


@dataclass
class Kind:
    """A template, and where the turns of the assistant are in what it writes."""

    template: str
    turn: str  # a pattern; its group is what the model is to write
    specials: tuple[str, ...] = ("<|im_start|>", "<|im_end|>")
    tools: bool = False
    system: bool = True
    needs_tools: bool = False


OWN = {
    "thinking": Kind(THINKING, CHATML_TURN),
    "opened-thought": Kind(OPENED_THOUGHT, CHATML_TURN),
    "strict": Kind(STRICT, r"\[/INST\](.*?<\|eos\|>)", (), system=False),
    "marked": Kind(MARKED, CHATML_TURN),
}
LLAMA_SPECIALS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LLAMA_TURN = r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n(.*?<\|eot_id\|>)"
# Of data/chat_templates.
STOCK = {
    "Qwen-Qwen2.5-7B-Instruct": Kind("", CHATML_TURN, tools=True),
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": Kind("", CHATML_TURN, tools=True, needs_tools=True),
    "meta-llama-Llama-3.1-8B-Instruct": Kind("", LLAMA_TURN, LLAMA_SPECIALS, tools=True),
    "meta-llama-Llama-3.2-3B-Instruct": Kind("", LLAMA_TURN, LLAMA_SPECIALS, tools=True),
    "microsoft-Phi-3.5-mini-instruct": Kind(
        "", r"<\|assistant\|>\n(.*?<\|end\|>)", ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
    ),
}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "What the weather is like in “a place”.",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "Where."},
                    "days": {"type": "integer", "description": "How long."},
                },
                "required": ["place"],
            },
        },
    }
]


def text(generator: random.Random) -> str:
    """Neither empty nor with a space in front."""
    words = [generator.choice(WORDS) + generator.choice([" ", "", "\n", "  "]) for _ in range(generator.randint(1, 12))]
    return "".join(words).lstrip() or "x"


def tool_round(generator: random.Random) -> list[Chat]:
    arguments = {"place": text(generator), "days": generator.randint(1, 9)}
    call = {"type": "function", "function": {"name": "weather", "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "name": "weather", "content": text(generator)},
    ]


def random_row(seed: int, kind: Kind) -> Chat:
    generator = random.Random(seed)
    has_tools = kind.needs_tools or (kind.tools and seed % 2 == 0)
    messages: list[Chat] = []
    if kind.system and generator.random() < 0.5:
        messages.append({"role": "system", "content": text(generator)})
    for _ in range(generator.randint(1, 4)):
        messages.append({"role": "user", "content": text(generator)})
        if has_tools and generator.random() < 0.6:
            messages += tool_round(generator)
        messages.append({"role": "assistant", "content": text(generator)})
        if generator.random() < 0.3:
            messages[-1]["reasoning_content"] = text(generator)
    if generator.random() < 0.2:
        messages.append({"role": "user", "content": "and?"})
    return {"messages": messages} | ({"tools": TOOLS} if has_tools else {})


def make_tokenizer(kind: Kind, family: str = "llama") -> PreTrainedTokenizerFast:
    tokenizer = tiny_models.make_tokenizer(family)
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [AddedToken(token, special=True, normalized=False) for token in kind.specials]}
    )
    tokenizer.chat_template = kind.template
    return tokenizer


def make_folder(folder: Path, kind: Kind, family: str = "llama") -> Path:
    """A model folder as far as data needs one."""
    make_tokenizer(kind, family).save_pretrained(folder)
    return folder


def make_model(folder: Path, kind: Kind) -> Path:
    """A tiny random model that can chat, with a random adapter on all seven targets in adapter/."""
    network = tiny_models.make_model("qwen3", {"tie_word_embeddings": True, "vocab_size": 512 + len(kind.specials)})
    network.save_pretrained(folder)
    make_folder(folder, kind, "qwen3")
    network = hf_train.add_adapter(network, hf_train.Recipe(steps=1, rank=4, alpha=8))
    tiny_models.random_adapter(network)
    network.save_pretrained(folder / "adapter")
    return folder


def stock_kind(name: str, templates: Path) -> Kind:
    return replace(STOCK[name], template=(templates / f"{name}.jinja").read_text(encoding="utf-8"))
