"""Writes docs/troubleshooting.md: tools/troubleshooting.toml, and every message that tools/error_sites.py finds in the sources;
`--check` fails where the page differs. Fails too where a message could not be listed, or one that is described is gone."""

import re
import sys
import tomllib
from collections import defaultdict
from typing import Any

from error_sites import GAP, ROOT, Site, all_sites, words_known

PAGE = ROOT / "docs" / "troubleshooting.md"
HEAD = """\
# Trouble

Made by `tools/make_docs` from the program's sources and tools/troubleshooting.toml.

Every message of the program has three parts: what is wrong, where, and after `try:` what to do. The exit code says the kind.
`anneal doctor` says what a machine lacks.
"""
ANY_FILE = "Files that another command reads (exit code 2, 3 or 4)"


def cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()


def code(text: str) -> str:
    """As code, which holds a backtick where it must."""
    text = re.sub(r"\s+", " ", text).replace("|", "\\|").strip()
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def table(head: list[str], rows: list[list[str]]) -> str:
    rule = "|---" * len(head) + "|"
    lines = [f"| {' | '.join(row)} |" for row in [head, *rows]]
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def asked(told: dict[str, Any], said: str) -> tuple[str, list[str]]:
    text, problems, topics = "", [], defaultdict(list)
    for each in told["asked"]:
        if each["message"] not in said:
            problems.append(f'tools/troubleshooting.toml: no source says "{each["message"]}"')
        topics[each["topic"]].append([code(each.get("shown", each["message"])), cell(each["cause"]), each["remedy"]])
    for topic, rows in topics.items():
        text += f"\n### {topic}\n\n" + table(["message", "cause", "remedy"], rows)
    return text, problems


def described(site: Site, told: dict[str, Any]) -> Site | None:
    """With the words of the list where the sources have none, and the code of its file where it has none."""
    name = str(site.path)
    problem = site.problem if words_known(site.problem) else told["passed_on"].get(name)
    known = site.code or told["code_of_file"].get(name, "kUsage")
    return Site(site.path, site.line, known, problem, site.where, site.remedy) if problem else None


def component(site: Site) -> str:
    return site.path.parts[1] if site.path.parts[0] == "src" else "python"


def of_code(sites: list[Site], told: dict[str, Any]) -> str:
    parts: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)
    for site in sites:
        where = f"{site.where}: " if words_known(site.where) else ""
        parts[told["component"][component(site)]][where + site.problem, site.remedy] = None
    text = ""
    for title in sorted(parts):
        rows = [[code(message), cell(remedy) if words_known(remedy) else "the message names it"] for message, remedy in sorted(parts[title])]
        text += f"\n### {title}\n\n" + table(["message", "what to do"], rows)
    return text


def page() -> tuple[str, list[str]]:
    told = tomllib.loads((ROOT / "tools/troubleshooting.toml").read_text())
    every = [(site, described(site, told)) for site in all_sites()]
    problems = [f"{site.path}:{site.line}: nothing is known of this message; describe it under [passed_on] of tools/troubleshooting.toml"
                for site, known in every if known is None]  # fmt: skip
    sites = [known for _, known in every if known]
    said = "\n".join(re.sub(r'"\s+"', "", path.read_text()) for path in (ROOT / "src").rglob("*") if path.is_file())
    most_asked, gone = asked(told, said)
    codes = [[str(each["code"]), each["kind"], each["first"]] for each in told["exit_code"]]
    text = HEAD + "\n" + table(["exit code", "kind", "first thing to do"], codes) + "\n## The most asked for\n" + most_asked
    text += f"\n## Every message\n\nThe message itself names the cause; {GAP} stands for what differs from one time to the next.\n"
    for each in told["exit_code"]:
        listed = [site for site in sites if set(site.code.split(", ")) & set(each["names"])]
        text += f"\n## Exit code {each['code']}: {each['kind']}\n{of_code(listed, told)}"
    text += f"\n## {ANY_FILE}\n{of_code([site for site in sites if not site.code], told)}"
    return text, problems + gone


def main() -> int:
    text, problems = page()
    is_stale = text != (PAGE.read_text() if PAGE.exists() else "")
    if "--check" in sys.argv:
        problems += ["docs/troubleshooting.md is out of date; run tools/make_docs"] if is_stale else []
    else:
        PAGE.write_text(text)
    print("".join(f"{problem}\n" for problem in problems), end="", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
