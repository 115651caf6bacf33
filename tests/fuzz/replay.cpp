// A target without libFuzzer, for every build: runs its seeds, the files of its corpus, and so many mutations of both,
// drawn from a seed. What is about to run is kept in a file, so that a crash leaves its input behind.
//
//   PROGRAM --target=NAME [--corpus=FOLDER] [--mutations=N] [--seed=N] [FILE...]      with FILEs: only those
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <random>

#include "proto/keyed_hash.hpp"
#include "tests/fuzz/folder.hpp"

namespace {

using namespace windlass::fuzz;
using Random = std::mt19937_64;

struct Options {
  std::string target, corpus;
  std::uint64_t mutations = 0, seed = 1;
  std::vector<std::string> files;
};

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s cannot be read\n", path.c_str());
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

std::uint64_t below(Random& random, std::uint64_t limit) {
  return random() % limit;
}

// First bytes of msgpack that announce much, and the ends of its ranges.
constexpr unsigned char kOdd[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1,
                                  0xC2, 0xC3, 0xC4, 0xC6, 0xC7, 0xCA, 0xCB, 0xCC, 0xCF, 0xD0,
                                  0xD3, 0xD4, 0xD9, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xE0, 0xFF};

std::string any_slice(Random& random, const std::string& from) {
  if (from.empty()) return {};
  const std::size_t at = below(random, from.size());
  return from.substr(at, 1 + below(random, 24));
}

void mutate_once(Random& random, std::string& bytes, const std::vector<std::string>& corpus) {
  const std::size_t at = below(random, bytes.size() + 1);
  const std::size_t some = 1 + below(random, 16);
  switch (below(random, 8)) {
    case 0:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1U << below(random, 8)));
      break;
    case 1:
      if (at < bytes.size()) bytes[at] = static_cast<char>(kOdd[below(random, std::size(kOdd))]);
      break;
    case 2:
      if (at < bytes.size()) bytes[at] = static_cast<char>(random());
      break;
    case 3:
      if (at < bytes.size()) bytes.erase(at, some);
      break;
    case 4:
      bytes.insert(at, any_slice(random, bytes));
      break;
    case 5:
      bytes.insert(at, any_slice(random, corpus[below(random, corpus.size())]));
      break;
    case 6:
      if (below(random, 4) == 0) bytes.resize(at);
      break;
    default:
      for (std::size_t i = at; i < bytes.size() && i < at + below(random, 8); ++i) bytes[i] = static_cast<char>(0xFF);
  }
}

std::string mutated(Random& random, const std::vector<std::string>& corpus) {
  std::string bytes = corpus[below(random, corpus.size())];
  for (std::uint64_t times = 1 + below(random, 6); times > 0; --times) mutate_once(random, bytes, corpus);
  return bytes;
}

bool number_of(std::string_view text, std::uint64_t& number) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  return fault == std::errc() && end == text.data() + text.size();
}

bool take(Options& options, std::string_view word) {
  const auto valued = [&](std::string_view flag) { return word.starts_with(flag); };
  const std::string_view value = word.substr(std::min(word.find('='), word.size() - 1) + 1);
  if (!word.starts_with("--")) {
    options.files.emplace_back(word);
    return true;
  }
  if (valued("--target=")) return options.target = value, true;
  if (valued("--corpus=")) return options.corpus = value, true;
  if (valued("--mutations=")) return number_of(value, options.mutations);
  return valued("--seed=") && number_of(value, options.seed);
}

class Runner {
 public:
  explicit Runner(const std::string& target)
      : kept_(quick_folder() / ("fuzz-" + target + "-" + std::to_string(::getpid()))) {}
  ~Runner() { std::filesystem::remove(kept_); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void one(const std::string& input) {
    std::ofstream(kept_, std::ios::binary | std::ios::trunc) << input;
    run(input);
    ++done_;
  }
  [[nodiscard]] std::uint64_t done() const { return done_; }
  [[nodiscard]] const std::filesystem::path& kept() const { return kept_; }

 private:
  std::filesystem::path kept_;
  std::uint64_t done_ = 0;
};

std::vector<std::string> corpus_of(const Options& options) {
  std::vector<std::string> corpus = seeds();
  std::vector<std::filesystem::path> paths;
  if (!options.corpus.empty() && std::filesystem::is_directory(options.corpus)) {
    for (const auto& entry : std::filesystem::directory_iterator(options.corpus)) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) corpus.push_back(contents(path));
  return corpus;
}

}  // namespace

int main(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    if (take(options, words[i])) continue;
    std::fprintf(stderr, "%s is not understood; replay.cpp says what is\n", words[i]);
    return 2;
  }
  windlass::proto::fix_hash_key(1);  // the same input is the same run
  Runner runner(options.target);
  std::fprintf(stderr, "what runs lies in %s; --seed=%llu\n", runner.kept().c_str(),
               static_cast<unsigned long long>(options.seed));
  if (!options.files.empty()) {
    for (const std::string& file : options.files) runner.one(contents(file));
  } else {
    const std::vector<std::string> corpus = corpus_of(options);
    require(!corpus.empty(), "a target has seeds");
    for (const std::string& input : corpus) runner.one(input);
    Random random(options.seed);
    for (std::uint64_t i = 0; i < options.mutations; ++i) runner.one(mutated(random, corpus));
  }
  std::printf("%s: %llu inputs\n", options.target.c_str(), static_cast<unsigned long long>(runner.done()));
  return 0;
}
