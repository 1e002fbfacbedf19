#include "hub/model.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

// Oracle: names by hand.
TEST(HubModel, ChatTemplatesAreFilesOfCertainNames) {
  const ScratchFolder model;
  EXPECT_TRUE(chat_template_files(model.path()).empty());
  for (const char* name : {"chat_template.jinja", "other.jinja", "additional_chat_templates/tool_use.jinja",
                           "additional_chat_templates/rag.jinja", "additional_chat_templates/rag.md",
                           "additional_chat_templates/deeper/x.jinja"})
    model.write(name, "x");
  EXPECT_THAT(chat_template_files(model.path()),
              testing::ElementsAre("chat_template.jinja", "additional_chat_templates/rag.jinja",
                                   "additional_chat_templates/tool_use.jinja"));
}

// Oracle: what the Hub's client has noted of the repository is there, or is not.
TEST(HubModel, ASnapshotWithoutItsChatTemplatesIsNotWhole) {
  const ScratchFolder cache;
  ::setenv("HF_HUB_CACHE", cache.path().c_str(), 1);
  const std::string commit(40, 'a'), snapshot = "models--org--model/snapshots/" + commit;
  cache.write("models--org--model/refs/main", commit);
  cache.write(snapshot + "/tokenizer.json", "{}");
  cache.write(snapshot + "/config.json", "{}");
  const auto find = [](ModelPart part) { return find_model({"org/model"}, part); };
  EXPECT_EQ(find(ModelPart::kTokenizer), cache / snapshot) << "nothing is noted";
  cache.write(
      "models--org--model/trees/" + commit + ".json",
      R"({"files": {"additional_chat_templates/tool_use.jinja": {}, "additional_chat_templates/a.md": {}}})");
  EXPECT_EQ(find(ModelPart::kTokenizer), "");
  EXPECT_EQ(find(ModelPart::kConfig), cache / snapshot);
  cache.write(snapshot + "/additional_chat_templates/tool_use.jinja", "x");
  EXPECT_EQ(find(ModelPart::kTokenizer), cache / snapshot);
}

}  // namespace
}  // namespace anneal
