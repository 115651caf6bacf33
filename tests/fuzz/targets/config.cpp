// The daemon's configuration: a first byte of 0 and a YAML file, or lines each of which is a flag (with "--") or a
// variable of the environment.
#include <algorithm>
#include <map>

#include "tests/fuzz/folder.hpp"
#include "worker/base/config_load.hpp"

namespace windlass::fuzz {

void run(std::string_view bytes) {
  static const Folder folder;
  if (bytes.empty()) return;
  worker::ConfigSources sources;
  const std::string text(bytes.substr(1));
  if (bytes[0] == 0) {
    folder.write("windlassd.yaml", text);
    sources.file = folder.at("windlassd.yaml");
  } else {
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      at = end + 1;
      if (line.starts_with("--")) {
        sources.flags.push_back(line);
      } else if (const std::size_t equals = line.find('='); equals != std::string::npos) {
        sources.environment["WINDLASS_" + line.substr(0, equals)] = line.substr(equals + 1);
      }
    }
  }
  const auto loaded = worker::load_config(sources);
  if (!loaded) {
    require(!loaded.error().empty(), "a refusal says why");
    for (const std::string& error : loaded.error()) require(!error.empty(), "and in words");
    return;
  }
  require(!loaded->config.node.name.empty() && !loaded->config.local.socket.empty(), "what is never empty is not");
}

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  return {
      "\0bridge: {address: 'tcp://scheduler:8790'}\nstage:\n  roots: [/scratch, /tmp]\n  threads: 4\n"
      "  resume_keep: 1h\n  bandwidth_max: 100MB\n"s,
      "\0node.name: n1\nnode.labels: {zone: a, rack: '7'}\nnode:\n  price: 1.5\nlog: {level: debug}\n"s,
      "\0a: &a [1, 2]\nb: *a\n? {c: d}\n: !!str x\n---\n- 1\n"s,
      "\1--stage.roots=/a,/b\n--node.labels={a: b}\nSTAGE__ROOTS=[/x, '/y']\nNODE__PRICE=2\n"s,
      "\1--http.listen=127.0.0.1:0\nBRIDGE__BEAT=500ms\n--security.local_uids=0,1000\n"s};
}

}  // namespace windlass::fuzz
