#include "worker/base/yaml_document.hpp"

#include <yaml-cpp/eventhandler.h>

#include <sstream>

namespace windlass::worker {
namespace {

// Notes where a document begins.
class Beginnings final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { latest = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  YAML::Mark latest;
};

}  // namespace

YAML::Node load_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Beginnings seen;
  if (parser.HandleNextDocument(seen) && parser.HandleNextDocument(seen)) {
    throw YAML::ParserException(seen.latest,
                                "a second YAML document begins here, or what no document holds; write one");
  }
  return YAML::Load(text);
}

}  // namespace windlass::worker
