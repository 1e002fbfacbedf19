"""Fails on an include that src/<folder>/CMakeLists.txt does not allow.

Every folder may include itself, `base`, and what LINKS of its anneal_library(...) names. Of the folders that HEADERS
names it may include the headers of options alone (`*_options.h`, `*_request.h`), without linking the folder.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z0-9_]+)/([^"]+)"')
OPTION_HEADER = re.compile(r"_(options|request)\.h$")
LIBRARY = re.compile(r"anneal_library\(\s*(\w+)([^)]*)\)")
KEYWORDS = {"LINKS", "HEADERS", "LIBRARIES"}


def links_of(cmake_text: str) -> tuple[str, set[str], set[str]] | None:
    """The name of the first anneal_library, the folders after LINKS and those after HEADERS."""
    found = LIBRARY.search(re.sub(r"#.*", "", cmake_text))
    if not found:
        return None
    named: dict[str, set[str]] = {keyword: set() for keyword in KEYWORDS}
    keyword = "LINKS"
    for word in found.group(2).split():
        if word in KEYWORDS:
            keyword = word
        else:
            named[keyword].add(word)
    return found.group(1), named["LINKS"], named["HEADERS"]


def check(root: Path) -> list[str]:
    """Every forbidden include as `file:line: reason`."""
    source = root / "src"
    folders = {path.name for path in source.iterdir() if path.is_dir()}
    problems = []
    for folder in sorted(folders):
        cmake = source / folder / "CMakeLists.txt"
        files = sorted(path for path in (source / folder).rglob("*") if path.suffix in {".h", ".cpp", ".cu"})
        if not files:
            continue
        library = links_of(cmake.read_text()) if cmake.exists() else None
        if library is None:
            problems.append(f"src/{folder}: no anneal_library(...) in CMakeLists.txt, so its includes cannot be checked")
            continue
        name, links, headers = library
        if name != folder:
            problems.append(f"src/{folder}/CMakeLists.txt: anneal_library({name}) should be named {folder}")
        for unknown in sorted((links | headers) - folders):
            problems.append(f"src/{folder}/CMakeLists.txt: LINKS names {unknown}, which is no folder of src")
        allowed = links | {folder, "base"}
        for path in files:
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                found = INCLUDE.match(line)
                if not found or found.group(1) not in folders or found.group(1) in allowed:
                    continue
                if not (found.group(1) in headers and OPTION_HEADER.search(found.group(2))):
                    problems.append(
                        f"{path.relative_to(root)}:{number}: {folder} may not include {found.group(1)} "
                        f"(allowed: {', '.join(sorted(allowed))})"
                    )
    return problems


if __name__ == "__main__":
    found = check(ROOT)
    print("\n".join(found) if found else "includes follow the link lists")
    sys.exit(1 if found else 0)
