// A target under libFuzzer. `PROGRAM --write-seeds=FOLDER` writes the seeds there, the corpus to begin with, and a
// dictionary of the words in them as FOLDER.dict.
#include <cctype>
#include <cstring>
#include <fstream>
#include <set>

#include "proto/keyed_hash.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace windlass::fuzz;

std::set<std::string> words_of(const std::string& seed) {
  std::set<std::string> words;
  std::string word;
  for (const char letter : seed + '\0') {
    if (std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_' || letter == '.') {
      word.push_back(letter);
    } else {
      if (word.size() >= 2) words.insert(word);
      word.clear();
    }
  }
  return words;
}

void write_seeds(const std::string& folder) {
  std::set<std::string> words;
  std::size_t number = 0;
  for (const std::string& seed : seeds()) {
    std::ofstream(folder + "/seed-" + std::to_string(number++), std::ios::binary) << seed;
    words.merge(words_of(seed));
  }
  std::ofstream dictionary(folder + ".dict");
  for (const std::string& word : words) dictionary << '"' << word << "\"\n";
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** words) {
  windlass::proto::fix_hash_key(1);  // the same input is the same run
  constexpr std::string_view kFlag = "--write-seeds=";
  if (*count == 2 && std::string_view((*words)[1]).starts_with(kFlag)) {
    write_seeds((*words)[1] + kFlag.size());
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run({reinterpret_cast<const char*>(data), size});
  return 0;
}
