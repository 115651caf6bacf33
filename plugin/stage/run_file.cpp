// A transfer of one file: write, verify, sync, rename, sync of the folders, in this order.
#include <fcntl.h>

#include <cerrno>

#include "plugin/stage/run.hpp"

namespace windlass::stage {
namespace {

class FileRun final : public WrittenFile {
 public:
  FileRun(const Shared& shared, const Running& running)
      : shared_(shared), fs_(shared.fs), running_(running), transfer_(running_.transfer) {}

  // Up to the sync where it may wait for that and is small; else to the end. Whether it waits.
  bool run(const Tools& tools, bool may_wait) {
    status_ = prepare();
    // it is opened again for its sync, which its own mode may forbid
    const bool opens = (transfer_.mode.value_or(source_.mode) & 0600U) != 0;
    bool waits = may_wait && opens && transfer_.durability != Durability::none && length_ < FileBatch::kFileBytesMax;
    if (waits) wish_.sync = false;
    if (status_) status_ = fill(tools);
    if (status_ && waits && filled_.bytes >= FileBatch::kFileBytesMax) {
      waits = false;
      const int result = fs_.sync(file_.get());
      if (result < 0) status_ = fail_errno(-result, "sync", transfer_.target.given);
    }
    file_.reset();
    kept_.reset();
    if (status_ && waits) return true;
    if (status_) status_ = publish_now();
    if (status_ && transfer_.durability == Durability::full)
      status_ = sync_way(fs_, shared_.roots.unsynced(), spot_, transfer_.target.given);
    return false;
  }

  [[nodiscard]] std::uint64_t device() const override { return key_.folder.device; }
  [[nodiscard]] std::uint64_t bytes() const override { return filled_.bytes; }
  [[nodiscard]] bool wants_folders_synced() const override {
    return published_ && transfer_.durability == Durability::full;
  }

  int sync() override { return sync_named(fs_, spot_.folder.get(), temporary_->name()); }
  int sync_all() override { return sync_all_of(fs_, spot_.folder.get(), published_ ? spot_.name : temporary_->name()); }

  void publish(int synced) override {
    status_ = synced < 0 ? Status(fail_errno(-synced, "sync", transfer_.target.given)) : publish_now();
  }

  Outcome end(int folders_synced) override {
    if (status_ && transfer_.durability == Durability::full)
      status_ = folders_synced < 0 ? Status(fail_errno(-folders_synced, "sync the folder of", transfer_.target.given))
                                   : sync_way(fs_, shared_.roots.unsynced(), spot_, transfer_.target.given, device());
    return outcome();
  }

  Outcome outcome() {
    temporary_.reset();
    if (record_) shared_.journal->end(*record_);  // after its temporary is gone or has its name
    Outcome outcome = status_ ? Outcome{} : failed_outcome(std::move(status_.error()));
    if (status_) outcome.state = State::done;
    if (published_) {
      outcome.bytes = filled_.bytes;
      outcome.files = 1;
    }
    outcome.checksum = filled_.checksum;
    outcome.resumed_bytes = filled_.resumed;
    outcome.retries = filled_.rereads;
    outcome.engine = filled_.cloned ? "reflink" : shared_.engine;
    return outcome;
  }

 private:
  Result<Source> open_source() const {
    auto file = shared_.roots.open_place(transfer_.source, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file) return fail(file.error());
    Source source{std::move(*file), {}};
    if (const int result = fs_.info(source.file.get(), source.info); result < 0)
      return fail_errno(-result, "look at", transfer_.source.given);
    if (source.info.type != FileType::regular)
      return fail(Code::invalid_argument,
                  quoted(transfer_.source.given) + " is no regular file any more; stage it again");
    return source;
  }

  // Everything that can be refused before a byte is read.
  Status prepare() {
    auto source = open_source();
    if (!source) return fail(source.error());
    wish_ = {transfer_.range,
             transfer_.size,
             transfer_.checksum,
             transfer_.mode,
             transfer_.durability != Durability::none,
             transfer_.durability == Durability::none,
             transfer_.source.given,
             transfer_.target.given,
             true,
             transfer_.decompress,
             &shared_.unpack};
    auto range = range_of(wish_, source->info.size);
    if (!range) return fail(range.error());
    source_ = source->info;
    length_ = transfer_.decompress ? transfer_.size.value_or(range->length) : range->length;
    if (transfer_.decompress && !transfer_.size)
      wish_.room = [this](std::uint64_t bytes) { return room_for_more(bytes); };
    if (auto allowed = shared_.roots.allow(transfer_.target); !allowed) return allowed;
    if (transfer_.target.folder)
      return fail(Code::invalid_argument, "the target " + quoted(transfer_.target.given) +
                                              " is written as a folder; name the file that is to be made");
    auto spot = shared_.roots.open_parent(transfer_.target, true);
    if (!spot) return fail(spot.error());
    spot_ = std::move(*spot);
    if (auto checked = check_target(source->info); !checked) return checked;
    auto key = target_key(fs_, spot_.folder.get(), spot_.name, transfer_.target.given);
    if (!key) return fail(key.error());
    key_ = std::move(*key);
    if (shared_.targets.replaced(key_, running_.sequence)) return fail(replaced_error(transfer_));
    return check_space(fs_, spot_.folder.get(), shared_.space, length_, transfer_.target.given);
  }

  // How much a decompressed file takes is known as it is written.
  Status room_for_more(std::uint64_t bytes) {
    grown_ += bytes;
    if (grown_ > length_)
      if (auto grown = shared_.grown(running_.sequence, grown_); !grown) return grown;
    return check_space(fs_, spot_.folder.get(), shared_.space, bytes, transfer_.target.given);
  }

  Status check_target(const FileInfo& source) const {
    Space space;
    if (const int result = fs_.space(spot_.folder.get(), space); result < 0)
      return fail_errno(-result, "look at the folder of", transfer_.target.given);
    FileInfo target;
    const int result = fs_.info(spot_.folder.get(), spot_.name.c_str(), target);
    if (result == -ENOENT && !space.kernel_view) return {};
    if (result < 0 && result != -ENOENT) return fail_errno(-result, "look at", transfer_.target.given);
    const std::string where = "the target " + quoted(transfer_.target.given);
    if (space.kernel_view)
      return fail(Code::invalid_argument, where + " lies in a file system of the kernel; choose a folder on a disk");
    if (target.key == source.key)
      return fail(Code::invalid_argument, where + " and the source are the same file; choose another target");
    if (target.type == FileType::folder)
      return fail(Code::invalid_argument, where + " is a folder; name the file that is to be made in it");
    if (target.type != FileType::regular)
      return fail(Code::invalid_argument,
                  where + " is there and is no regular file; remove it, or choose another name");
    return {};
  }

  Status fill(const Tools& tools) {
    if (auto opened = open_temporary(); !opened) return opened;
    FilePace pace(shared_.meter, transfer_.kind, running_.cancelled, running_.bytes_done);
    if (record_ && length_ > kMarkBytes)
      pace.on_reached = [this, last = kept_ ? kept_->bytes : 0](std::uint64_t written) mutable {
        if (written < last + mark_distance(length_)) return;
        shared_.journal->mark(*record_, written);
        last = written;
      };
    auto filled = fill_file(
        tools,
        [this] {
          grown_ = 0;
          return open_source();
        },
        file_.get(), wish_, pace, kept_ ? &*kept_ : nullptr);
    if (!filled) return fail(filled.error());
    filled_ = std::move(*filled);
    return {};
  }

  // A new one, or the one that an earlier life left for the same transfer.
  Status open_temporary() {
    const std::optional<Journal::Left> left =
        shared_.journal ? shared_.journal->take(transfer_.target.given) : std::nullopt;
    const std::string wish = Journal::wish_of(transfer_);
    const std::string life = shared_.journal ? shared_.journal->life(fs_.mount(spot_.folder.get())) : "";
    std::string name = left && left->entry.wish == wish ? left->entry.temporary : shared_.names.next();
    if (left && left->entry.wish != wish) fs_.remove(spot_.folder.get(), left->entry.temporary.c_str(), false);
    if (left && left->entry.wish == wish && (left->entry.life != life || !take_up(left->entry))) {
      fs_.remove(spot_.folder.get(), name.c_str(), false);
      name = shared_.names.next();
    }
    if (shared_.journal)
      record_ = shared_.journal->begin({transfer_.target.given, name, wish, source_, life,
                                        left ? left->entry.begun_s : wall_now_s(), kept_ ? kept_->bytes : 0});
    if (left) shared_.journal->end(left->id);
    temporary_.emplace(fs_, spot_.folder.get(), name, false);
    if (kept_) return {};
    auto file = make_temporary(fs_, spot_.folder.get(), name, transfer_.target.given);
    if (!file) {
      temporary_->keep();  // it is not there, or not ours
      return fail(file.error());
    }
    file_ = std::move(*file);
    return {};
  }

  bool take_up(const JournalEntry& entry) {
    Fd file(fs_.open(spot_.folder.get(), entry.temporary.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, 0));
    Fd readable(fs_.open(spot_.folder.get(), entry.temporary.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, 0));
    FileInfo info;
    if (!file || !readable || fs_.info(file.get(), info) != 0) return false;
    if (info.type != FileType::regular || info.size < entry.written || !entry.source.same_content(source_))
      return false;
    file_ = std::move(file);
    kept_ = Kept{std::move(readable), entry.source, entry.written};
    return true;
  }

  static std::int64_t wall_now_s() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  Status publish_now() {
    int result = 0;
    const bool first = shared_.targets.publish(key_, running_.sequence, [&] {
      if (running_.cancelled) {
        result = -ECANCELED;
        return false;
      }
      result = fs_.rename(spot_.folder.get(), temporary_->name().c_str(), spot_.name.c_str(), 0);
      return result == 0;
    });
    if (!first) return fail(replaced_error(transfer_));
    if (result == -ECANCELED) return cancelled_error();
    if (result < 0) return fail_errno(-result, "publish", transfer_.target.given);
    temporary_->keep();
    published_ = true;
    ++running_.files_done;
    return {};
  }

  const Shared& shared_;
  Fs& fs_;
  const Running running_;
  const Transfer& transfer_;
  Status status_;
  FileWish wish_;
  Spot spot_;
  TargetKey key_;
  std::optional<Temporary> temporary_;  // after spot_, whose folder it needs
  Filled filled_;
  FileInfo source_;           // when it was looked at first
  std::uint64_t length_ = 0;  // as far as it is known beforehand
  std::uint64_t grown_ = 0;
  Fd file_;  // the temporary, open for both
  std::optional<Kept> kept_;
  std::optional<JournalId> record_;
  bool published_ = false;
};

}  // namespace

Ran run_file(const Tools& tools, const Shared& shared, const Running& running, bool may_wait) {
  auto file = std::make_unique<FileRun>(shared, running);
  if (file->run(tools, may_wait)) return {{}, std::move(file)};
  return {file->outcome(), nullptr};
}

}  // namespace windlass::stage
