#include "data/chat_row.h"

#include <gmock/gmock.h>

namespace anneal {
namespace {

using testing::HasSubstr;

std::string row(std::string_view messages, std::string_view tools = "") {
  return chat_row(messages, tools).dump();
}

std::string defect(std::string_view messages, std::string_view tools = "") {
  try {
    chat_row(messages, tools);
  } catch (const ChatDefect& defect) {
    return defect.reason;
  }
  return "none";
}

// Oracle: by hand. The order of keys stays: templates write tools as they are given.
TEST(ChatRow, KeepsMessagesWithoutTheirNulls) {
  EXPECT_EQ(row(R"([{"role": "user", "name": null, "content": "é"}, {"content": "b", "role": "assistant"}])"),
            R"({"messages":[{"role":"user","content":"é"},{"content":"b","role":"assistant"}]})");
  EXPECT_EQ(row(R"([{"role": "user"}])", R"([{"z": 1, "a": null}])"),
            R"({"messages":[{"role":"user"}],"tools":[{"z":1,"a":null}]})");
  for (const char* none : {"", "null", "[]", "\"[]\"", " "})
    EXPECT_EQ(row(R"([{"role": "user"}])", none), R"({"messages":[{"role":"user"}]})") << none;
  EXPECT_TRUE(chat_row("[]", "").is_null());
  EXPECT_TRUE(chat_row("", "").is_null());
}

TEST(ChatRow, JsonInTextsIsOpened) {
  EXPECT_EQ(row(R"("[{\"role\": \"user\"}]")", R"("[{\"name\": \"f\"}]")"),
            R"({"messages":[{"role":"user"}],"tools":[{"name":"f"}]})");
  EXPECT_EQ(
      row(R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"b\":1,\"a\":2}"}},
              {"name":"g","arguments":"not JSON"}]}])"),
      R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"b":1,"a":2}}},{"name":"g","arguments":"not JSON"}]}]})");
}

TEST(ChatRow, TakesShareGpt) {
  const auto chat = chat_row(R"([{"from":"system","value":"s"},{"from":"human","value":"q"},
      {"from":"function_call","value":"{\"name\": \"f\", \"arguments\": {\"a\": 1}}"},
      {"from":"observation","value":"o"},{"from":"gpt","value":"r"}])",
                             R"("[{\"name\": \"f\"}]")");
  EXPECT_EQ(
      chat.dump(),
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},)"
      R"({"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"a":1}}}]},)"
      R"({"role":"tool","content":"o"},{"role":"assistant","content":"r"}],)"
      R"("tools":[{"type":"function","function":{"name":"f"}}]})");
  EXPECT_TRUE(has_assistant_turn(chat));
  EXPECT_FALSE(has_assistant_turn(chat_row(R"([{"from":"human","value":"q"}])", "")));
}

TEST(ChatRow, SaysWhatIsWrong) {
  EXPECT_THAT(defect("1"), HasSubstr("the list of messages is not a list"));
  EXPECT_THAT(defect("\"Hello\""), HasSubstr("the list of messages is not JSON"));
  EXPECT_THAT(defect("[1]"), HasSubstr("message 0 is not an object"));
  EXPECT_THAT(defect(R"([{"role":"user"},{"content":"x"}])"), HasSubstr("message 1 has no text \"role\""));
  EXPECT_THAT(defect(R"([{"from":"bird","value":"x"}])"), HasSubstr("message 0 is from \"bird\""));
  EXPECT_THAT(defect(R"([{"from":"human"}])"), HasSubstr("message 0 has no text \"value\""));
  EXPECT_THAT(defect(R"([{"from":"function_call","value":"call f"}])"),
              HasSubstr("the call of message 0 is not"));
  EXPECT_THAT(defect(R"([{"from":"function_call","value":"{}"}])"),
              HasSubstr("the call of message 0 has no name"));
  EXPECT_THAT(defect(R"([{"role":"user"}])", "{}"), HasSubstr("the list of tools is not a list"));
}

}  // namespace
}  // namespace anneal
