#include "base/package_libraries.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/python_programs.h"
#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

// Oracle: the names that pip gives to metadata.
TEST(PythonPackage, TheVersionIsThatOfItsMetadata) {
  const ScratchFolder site;
  site.write("torch/version.py", "");
  site.write("torchvision-9.0.dist-info/METADATA", "");
  EXPECT_EQ(version_of_package(site / "torch"), "");
  site.write("torch-2.14.0+cpu.dist-info/METADATA", "");
  EXPECT_EQ(version_of_package(site / "torch"), "2.14.0");
}

// Oracle: the environment that this test was built in.
TEST(PackageLibraries, TheEnvironmentOfTheBuildHasThem) {
  for (const char* object : {"libanneal_engine.so", "libanneal_cuda.so", "libanneal_arrow.so"}) {
    const auto package = package_needed_by(object);
    const auto folder = require_package(package);
    EXPECT_EQ(version_of_package(folder), package.version);
    for (const auto& library : package.libraries)
      EXPECT_TRUE(std::filesystem::exists(folder / library)) << library;
  }
  EXPECT_EQ(package_needed_by("libanneal_nowhere.so").name, "");
}

TEST(PackageLibraries, BothVersionsAreNamed) {
  try {
    require_package({"torch", "1.2.3", {}});
    FAIL();
  } catch (const UserError& error) {
    const auto& problem = error.problems().front();
    EXPECT_EQ(error.code(), ExitCode::kResources);
    EXPECT_EQ(problem.problem, "torch " + package_needed_by("libanneal_engine.so").version +
                                   " is here, and this program works with torch 1.2.3");
    EXPECT_EQ(problem.remedy, "pip install torch==1.2.3");
  }
}

TEST(PackageLibraries, AMissingOneIsNamed) {
  try {
    require_package({"no_such_package", "1.2.3", {}});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("no_such_package is not here"), std::string::npos);
  }
}

}  // namespace
}  // namespace anneal
