// offers.file: a JSON or YAML list of records.
#include "worker/bridge/offers.hpp"

#include "proto/bounded.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "worker/bridge/offer_check.hpp"

namespace windlass::fuzz {

void run(std::string_view bytes) {
  worker::NodeConfig node;
  node.name = "n1";
  node.labels = {{"zone", "a"}};
  const auto offers = worker::parse_offers(std::string(bytes), node);
  if (!offers) return require(!offers.error().empty(), "a refusal says why");
  worker::OfferDimensions known;
  for (const std::string& offer : *offers) {
    require(!worker::offer_fault(offer, "", known), "what is taken holds when it is looked at again");
  }
  for (const std::string& offer : *offers) require(!proto::scan(offer), "an offer is msgpack that the bridge reads");
}

std::vector<std::string> seeds() {
  return {"[{\"name\": \"n1/1\", \"resources\": {\"cpu\": 8, \"memory\": 1.5e9}, \"price\": 0.25}]",
          "- resources: {cpu: 4}\n  labels: {zone: b, spot: true}\n- name: n1/2\n  resources:\n    gpu: 2\n"
          "  devices: {gpu: [1, 0.5]}\n",
          "[{\"resources\": {\"cpu\": 1}, \"only\": {\"team\": {\"in\": [\"a\"], \"exists\": true}}}]",
          "- &a {resources: {cpu: '8'}}\n- *a\n"};
}

}  // namespace windlass::fuzz
