/* Matches three tasks to three offers and stages one file, from C, through windlass.h alone.
 *
 *   cc -o match_and_stage match_and_stage.c -lwindlass && ./match_and_stage
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "windlass/windlass.h"

enum { TASKS = 3, OFFERS = 3, DIMENSIONS = 2 };

static int complain(const char* what, const windlass_error* error) {
  fprintf(stderr, "%s failed with code %d: %s\n", what, (int)error->code, error->message);
  return 1;
}

static int cut(const double* values, size_t count, windlass_cut_kind kind, int64_t* amounts) {
  windlass_error error = {.size = sizeof error};
  if (windlass_cut_amounts(values, count, kind, amounts, &error) == WINDLASS_OK) return 0;
  return complain("cutting amounts", &error);
}

static int print_placement(const windlass_match_result* result) {
  const int32_t expected[TASKS] = {2, 0, -1};
  windlass_match_view view = {.size = sizeof view};
  windlass_match_view_of(result, &view);
  for (uint64_t task = 0; task < view.tasks; ++task) {
    printf("task %d -> offer %d\n", (int)task, (int)view.offer_index[task]);
    if (view.offer_index[task] != expected[task]) {
      fprintf(stderr, "task %d should have gone to %d\n", (int)task, (int)expected[task]);
      return 1;
    }
  }
  return 0;
}

static int match(void) {
  const double task_cpu[TASKS] = {2, 4, 16}, task_memory[TASKS] = {4.5, 8, 1};
  const double offer_cpu[OFFERS] = {8, 64, 2}, offer_memory[OFFERS] = {16, 0.5, 8};
  int64_t cut_task_cpu[TASKS], cut_task_memory[TASKS], cut_offer_cpu[OFFERS], cut_offer_memory[OFFERS];
  if (cut(task_cpu, TASKS, WINDLASS_CUT_TASK, cut_task_cpu) != 0) return 1;
  if (cut(task_memory, TASKS, WINDLASS_CUT_TASK, cut_task_memory) != 0) return 1;
  if (cut(offer_cpu, OFFERS, WINDLASS_CUT_OFFER, cut_offer_cpu) != 0) return 1;
  if (cut(offer_memory, OFFERS, WINDLASS_CUT_OFFER, cut_offer_memory) != 0) return 1;

  const int64_t* tasks[DIMENSIONS] = {cut_task_cpu, cut_task_memory};
  const int64_t* offers[DIMENSIONS] = {cut_offer_cpu, cut_offer_memory};
  const windlass_match_request request = {.size = sizeof request,
                                          .normalize = 1,
                                          .dimensions = DIMENSIONS,
                                          .max_price = -1,
                                          .tasks = TASKS,
                                          .offers = OFFERS,
                                          .task_amounts = tasks,
                                          .offer_amounts = offers};
  windlass_error error = {.size = sizeof error};
  windlass_match_result* result = NULL;
  if (windlass_match(&request, &result, &error) != WINDLASS_OK) return complain("matching", &error);
  const int failed = print_placement(result);
  windlass_match_free(result);
  return failed;
}

static int write_file(const char* path, const char* text) {
  FILE* file = fopen(path, "wb");
  if (!file) return 1;
  const size_t count = strlen(text);
  const int failed = fwrite(text, 1, count, file) != count;
  return (fclose(file) != 0) || failed;
}

static int holds(const char* path, const char* text) {
  char found[256] = {0};
  FILE* file = fopen(path, "rb");
  if (!file) return 0;
  const size_t count = fread(found, 1, sizeof found - 1, file);
  fclose(file);
  return count == strlen(text) && memcmp(found, text, count) == 0;
}

static int stage_through(windlass_stager* stager, const char* source, const char* target) {
  windlass_error error = {.size = sizeof error};
  windlass_stage_call* call = NULL;
  if (windlass_stage_file(stager, source, target, NULL, &call, &error) != WINDLASS_OK)
    return complain("staging", &error);
  windlass_stage_wait(call, -1);
  const int state = windlass_stage_state(call, 0, &error);
  windlass_stage_free(call);
  return state == 0 ? 0 : complain("staging", &error);
}

static int stage_in(const char* folder) {
  const char* text = "what the task needs\n";
  char source[256], target[256];
  snprintf(source, sizeof source, "%s/source", folder);
  snprintf(target, sizeof target, "%s/target", folder);
  if (write_file(source, text) != 0) return 1;

  const windlass_stage_options options = {.size = sizeof options};
  windlass_error error = {.size = sizeof error};
  windlass_stager* stager = NULL;
  if (windlass_stager_open(&options, &stager, &error) != WINDLASS_OK) return complain("opening the stager", &error);
  int failed = stage_through(stager, source, target);
  printf("staged by the %s engine\n", windlass_stager_engine(stager));
  windlass_stager_close(stager);
  if (!failed && !holds(target, text)) {
    fprintf(stderr, "%s is not what was staged\n", target);
    failed = 1;
  }
  unlink(source);
  unlink(target);
  return failed;
}

int main(void) {
  printf("windlass %s\n", windlass_version());
  if (windlass_abi_version() != WINDLASS_ABI_VERSION) {
    fprintf(stderr, "the library is of another interface version\n");
    return 1;
  }
  char folder[] = "/tmp/windlass-example-XXXXXX";
  if (!mkdtemp(folder)) return 1;
  const int failed = match() | stage_in(folder);
  rmdir(folder);
  return failed;
}
