// Oracle: the rules of HTML, and for the hash openssl: printf 'a' | openssl dgst -sha256 -binary | base64.
#include "report/html.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

TEST(Html, NothingOfATextIsMarkup) {
  EXPECT_EQ(escaped("<b a=\"x\" c='y'>&amp;"), "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
  EXPECT_EQ(escaped("tab\tline\nna\xC3\xAFve"), "tab\tline\nna\xC3\xAFve");
  EXPECT_EQ(escaped(std::string("\0\x1B[31m\x7F", 7)), "\xEF\xBF\xBD\xEF\xBF\xBD[31m\xEF\xBF\xBD");
}

TEST(Html, JsonCannotEndItsScript) {
  const auto json = script_json({{"name", "</script><script>alert(1)</script><!--"}});
  EXPECT_EQ(json.find('<'), std::string::npos);
  EXPECT_EQ(Json::parse(json)["name"], "</script><script>alert(1)</script><!--");
  EXPECT_NO_THROW(script_json({{"name", "\xFF"}}));
}

TEST(Html, TheHashOfAScript) {
  EXPECT_EQ(script_hash("a"), "'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='");
}

TEST(Html, ColumnsFromTheSecondOnAreNumbers) {
  const auto table = table_html({"A", "B"}, {{"x", "1"}}, true);
  EXPECT_NE(table.find("<td>x</td><td class=\"number\">1</td>"), std::string::npos);
}

}  // namespace
}  // namespace anneal
