"""Oracle: what a reader sees in small sources made by hand, and places of the program that are known."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import error_sites  # noqa: E402
import make_troubleshooting  # noqa: E402

from support.troubleshooting import is_listed  # noqa: E402

SOURCE = r"""
constexpr const char* kRemedy = "write it again";
// fail(ExitCode::kData, "in a comment", "", "");
void damaged(const std::string& file, const std::string& what) {
  fail(ExitCode::kModel, "damaged: " + what, file, kRemedy);
}
void read(const std::string& file, int count) {
  if (count < 0) damaged(file, fmt::format("{} rows, {{}} and ({:.1f})", count, 1.5));
  damaged(file, count > 3 ? "too many, or " + std::to_string(count) : "too few");
  const auto refuse = [&](const std::string& problem) { fail(ExitCode::kUsage, problem, "--flag", "leave \"it\" out"); };
  refuse("no such "
         "thing");
}
void check(std::vector<Problem>& problems) {
  problems.push_back({"is both, {a}", std::string("--") + name(1, "x"), "give one"});
  if (!problems.empty()) throw UserError(ExitCode::kResources, problems);
}
Problem wrong() { return {"'\"' is wrong here", place(), c == ')' ? "mend" : "drop"}; }
Pair other() { return {"no", "problem", "at all"}; }
"""


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "src" / "made").mkdir(parents=True)
    (tmp_path / "src" / "made" / "made.cpp").write_text(SOURCE)
    monkeypatch.setattr(error_sites, "ROOT", tmp_path)
    caches = (error_sites.source, error_sites.source_files, error_sites.functions, error_sites.constants)
    for cached in caches:
        cached.cache_clear()
    yield list(error_sites.sites_of(Path("src/made/made.cpp")))
    for cached in caches:
        cached.cache_clear()


def test_each_place_is_found_with_its_words(sites: list[error_sites.Site]):
    assert [(site.line, site.code, site.problem, site.where, site.remedy) for site in sites] == [
        (8, "kModel", "damaged: … rows, {} and (…)", "…", "write it again"),
        (9, "kModel", "damaged: too many, or … / too few", "…", "write it again"),
        (11, "kUsage", "no such thing", "--flag", 'leave "it" out'),
        (15, "kResources", "is both, {a}", "--…", "give one"),
        (18, "kResources", "'\"' is wrong here", "…", "mend / drop"),
    ]


def test_every_fail_of_the_program_is_found():
    """Counted by a search that knows nothing of what stands between the brackets."""
    for path in error_sites.source_files():
        text = error_sites.source(path)
        if str(path.relative_to("src")) in error_sites.CARRIERS:
            continue
        expected = text.count("fail(ExitCode::")
        found = {match.start() for match in error_sites.SITE.finditer(text) if match[0] == "fail("
                 and len(error_sites.arguments(text, match.start("call"))) == 4}  # fmt: skip
        assert len(found) >= expected, path


def test_the_page_is_whole():
    text, problems = make_troubleshooting.page()
    assert not problems
    assert "| `--max_seq_length: … is above the model's limit of …` | give at most the model's limit |" in text


def test_the_page_is_not_asked_in_vain():
    assert is_listed("anneal: --max_seq_length: 100000 is above the model's limit of 512")
    assert not is_listed("anneal: --max_seq_length: the moon is above the model")
