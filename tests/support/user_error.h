// Asserts that a call fails as a user would see it: with an exit code and a text.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace anneal {

// The text holds `part`; each further part is checked by the caller on what is returned.
template <class Call>
std::string expect_user_error(ExitCode code, const std::string& part, const Call& call) {
  try {
    call();
  } catch (const UserError& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr(part));
    for (const auto& problem : error.problems()) EXPECT_FALSE(problem.remedy.empty()) << error.what();
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "no UserError but " << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error; wanted one with: " << part;
  return "";
}

}  // namespace anneal
