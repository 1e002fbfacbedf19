#include "doctor/software_findings.h"

#include <fmt/format.h>

#include "base/child_process.h"
#include "base/json.h"
#include "base/package_libraries.h"
#include "base/python_programs.h"
#include "hub/repository.h"

namespace anneal {
namespace {

constexpr std::chrono::seconds kPythonLimit(2);

// Without importing any of them: that takes seconds.
constexpr const char* kVersionsOfPackages = R"(
import json, platform
from importlib.metadata import PackageNotFoundError, version
found = {"python": platform.python_version()}
for name in ("ray", "datasets", "jinja2", "transformers", "peft"):
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
)";

struct OptionalPackages {
  const char* subject;
  std::vector<std::string> names;
  const char* install;
  const char* lost_without;
};

const OptionalPackages kOptional[] = {
    {"Ray", {"ray"}, "'ray[train]'", "training on a Ray cluster"},
    {"chat templates", {"jinja2"}, "jinja2", "--hfdc_messages_field"},
    {"datasets library", {"datasets"}, "datasets", "data sets in other formats than files of rows"},
    {"other models", {"transformers", "peft"}, "transformers peft", "--engine transformers"},
};

Finding finding_of(const OptionalPackages& packages, const Json& found, const std::string& python) {
  Finding finding{FindingState::kOk, packages.subject, "", ""};
  for (const auto& name : packages.names) {
    const bool is_there = found.contains(name);
    finding.text += fmt::format("{}{} {}", finding.text.empty() ? "" : ", ", name,
                                is_there ? found[name].get<std::string>() : "is not installed");
    if (is_there) continue;
    finding.state = FindingState::kNotice;
    finding.remedy =
        fmt::format("`{} -m pip install {}` for {}", python, packages.install, packages.lost_without);
  }
  return finding;
}

}  // namespace

Finding package_finding(const std::string& object, FindingState state) {
  const auto package = package_needed_by(object);
  try {
    const auto folder = require_package(package);
    return {FindingState::kOk, package.name,
            fmt::format("{}, the version of this build, in {}", package.version, folder.string()), ""};
  } catch (const UserError& error) {
    const auto& problem = error.problems().front();
    return {state, package.name, problem.problem, problem.remedy};
  }
}

Finding vllm_finding() {
  const auto program = find_program("vllm");
  if (program) return {FindingState::kOk, "vLLM", program->string(), ""};
  return {FindingState::kOk, "vLLM", "is not on PATH; `anneal test` takes the native engine", ""};
}

Finding hub_client_finding() {
  const auto program = find_python_program("hf");
  if (program) return {FindingState::kOk, "hub client", program->string(), ""};
  return {FindingState::kNotice, "hub client",
          "the command `hf` is not here, which downloads models and data",
          "pip install huggingface_hub; folders and files of this machine need none"};
}

Finding hub_finding() {
  return {FindingState::kOk, "hub",
          fmt::format("{}, {} token{}", hub_endpoint(), has_hub_token() ? "with a" : "without a",
                      is_hub_offline() ? "; switched off by HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE" : ""),
          ""};
}

Findings python_findings() {
  const auto python = find_python();
  const auto answer = ask_python(kVersionsOfPackages, kPythonLimit);
  const auto found = Json::parse(answer.value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!python || !found.is_object())
    return {{FindingState::kNotice, "Python",
             python ? python->string() + " does not say its version within 2 s" : "there is none",
             std::string("name one of 3.11 or later in ") + kPythonVariable}};
  Findings findings = {{FindingState::kOk, "Python",
                        fmt::format("{}, {}", found["python"].get<std::string>(), python->string()), ""}};
  for (const auto& packages : kOptional) findings.push_back(finding_of(packages, found, python->string()));
  return findings;
}

Findings software_findings() {
  Findings findings = {package_finding("libanneal_engine.so", FindingState::kProblem),
                       package_finding("libanneal_arrow.so", FindingState::kNotice)};
  for (auto& finding : python_findings()) findings.push_back(std::move(finding));
  findings.push_back(vllm_finding());
  findings.push_back(hub_client_finding());
  findings.push_back(hub_finding());
  return findings;
}

}  // namespace anneal
