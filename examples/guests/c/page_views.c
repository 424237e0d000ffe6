// Page views: JSON in, RowBinary out. The same processor as in ../python and ../javascript.

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "message_processor.h"

enum outcome { ROWS = 0, SKIPPED = 1, REJECTED = 4 };

// The largest whole number that every reader of JSON keeps exactly: 2^53 - 1.
static const double EXACT_MAX = 9007199254740991.0;

static const char *COLUMNS[][2] = {
    {"visitor", "UInt64"},
    {"path", "String"},
    {"at", "DateTime"},
    {"referrer", "Nullable(String)"},
    {"tags", "Array(String)"},
};
enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0] };

// What a message says. The buffers are used again for the next.
typedef struct {
  bytes_t key, kind, path, referrer, tag;
  // The tags as they go into the row, each with its length.
  bytes_t tags;
  double visitor, at;
  size_t tag_count;
  bool has_visitor, has_path, has_at, has_kind, has_referrer, referrer_wrong, tags_wrong;
} page_view_t;

// Memory of the answer is freed by the generated code after the host has read it.
static void *allocate(size_t len) {
  void *memory = calloc(len == 0 ? 1 : len, 1);
  if (memory == NULL) __builtin_trap();
  return memory;
}

// The generated code does not free a list without elements, whatever was allocated for it.
static void free_empty(void *memory, size_t len) {
  if (len == 0) free(memory);
}

static void text_of(message_processor_string_t *text, const char *value) { message_processor_string_dup(text, value); }

void exports_tidegate_processor_processor_describe(exports_tidegate_processor_processor_manifest_t *manifest) {
  tidegate_processor_types_output_t *output = allocate(sizeof *output);
  text_of(&output->name, "page_views");
  output->format = TIDEGATE_PROCESSOR_TYPES_ROW_FORMAT_ROW_BINARY;
  output->columns.ptr = allocate(sizeof *output->columns.ptr * COLUMN_COUNT);
  output->columns.len = COLUMN_COUNT;
  for (size_t i = 0; i < COLUMN_COUNT; i++) {
    text_of(&output->columns.ptr[i].name, COLUMNS[i][0]);
    text_of(&output->columns.ptr[i].clickhouse_type, COLUMNS[i][1]);
  }
  text_of(&manifest->name, "page-views");
  text_of(&manifest->version, "0.1.0");
  text_of(&manifest->self_test, "");
  manifest->outputs.ptr = output;
  manifest->outputs.len = 1;
  manifest->wants = 0;
}

bool exports_tidegate_processor_processor_init(exports_tidegate_processor_processor_config_t *config,
                                               message_processor_string_t *error) {
  json_t params = {config->params.ptr, config->params.ptr + config->params.len};
  bool more = false;
  bool none = json_end(&params) || (json_enter(&params, '{') && json_next(&params, '}', 0, &more) && !more);
  exports_tidegate_processor_processor_config_free(config);
  if (!none) text_of(error, "there are no settings");
  return none;
}

static bool is_text(const bytes_t *text, const char *expected) {
  return text->len == strlen(expected) && memcmp(text->ptr, expected, text->len) == 0;
}

// LEB128, then the bytes.
static void put_text(bytes_t *row, const bytes_t *text) {
  size_t rest = text->len;
  for (; rest >= 0x80; rest >>= 7) put(row, &(uint8_t){(uint8_t)(rest | 0x80)}, 1);
  put(row, &(uint8_t){(uint8_t)rest}, 1);
  put(row, text->ptr, text->len);
}

// Reads the value if it has the type, and skips it otherwise.
static bool text_or_skip(json_t *json, bytes_t *text, bool *has) {
  *has = json_peek(json) == '"';
  return *has ? json_text(json, text) : json_skip(json);
}

static bool number_or_skip(json_t *json, double *number, bool *has) {
  uint8_t first = json_peek(json);
  *has = first == '-' || (first >= '0' && first <= '9');
  return *has ? json_number(json, number) : json_skip(json);
}

static bool read_tags(json_t *json, page_view_t *view) {
  view->tags.len = view->tag_count = 0;
  view->tags_wrong = json_peek(json) != '[';
  if (view->tags_wrong) return json_skip(json);
  bool more, has;
  json_enter(json, '[');
  for (size_t count = 0; json_next(json, ']', count, &more); count++) {
    if (!more) return true;
    if (!text_or_skip(json, &view->tag, &has)) return false;
    view->tags_wrong |= !has;
    if (has) put_text(&view->tags, &view->tag);
    view->tag_count++;
  }
  return false;
}

static bool read_referrer(json_t *json, page_view_t *view) {
  bool is_null = json_peek(json) == 'n';
  bool read = is_null ? json_null(json) : text_or_skip(json, &view->referrer, &view->has_referrer);
  view->referrer_wrong = !is_null && !view->has_referrer;
  if (is_null) view->has_referrer = false;
  return read;
}

static bool read_member(json_t *json, page_view_t *view) {
  if (is_text(&view->key, "kind")) return text_or_skip(json, &view->kind, &view->has_kind);
  if (is_text(&view->key, "visitor")) return number_or_skip(json, &view->visitor, &view->has_visitor);
  if (is_text(&view->key, "path")) return text_or_skip(json, &view->path, &view->has_path);
  if (is_text(&view->key, "at")) return number_or_skip(json, &view->at, &view->has_at);
  if (is_text(&view->key, "referrer")) return read_referrer(json, view);
  if (is_text(&view->key, "tags")) return read_tags(json, view);
  return json_skip(json);
}

static bool read_message(json_t json, page_view_t *view) {
  view->has_kind = view->has_visitor = view->has_path = view->has_at = view->has_referrer = false;
  view->referrer_wrong = view->tags_wrong = false;
  view->tags.len = view->tag_count = 0;
  bool more;
  if (!is_utf8(json.at, (size_t)(json.end - json.at)) || !json_enter(&json, '{')) return false;
  for (size_t count = 0; json_next(&json, '}', count, &more); count++) {
    if (!more) return json_end(&json);
    if (!json_key(&json, &view->key) || !read_member(&json, view)) return false;
  }
  return false;
}

static bool is_whole(bool has, double value, double most) {
  return has && value >= 0 && value <= most && value == (double)(uint64_t)value;
}

// Why it cannot become a row; NULL if it can.
static const char *wrong(const page_view_t *view) {
  if (!is_whole(view->has_visitor, view->visitor, EXACT_MAX))
    return "visitor is not a whole number up to 9007199254740991";
  if (!view->has_path) return "path is not a text";
  if (!is_whole(view->has_at, view->at, 4294967295.0)) return "at is not a whole number up to 4294967295";
  if (view->referrer_wrong) return "referrer is not a text";
  if (view->tags_wrong) return "tags is not a list of texts";
  return NULL;
}

// Columns in the declared order; integers are little-endian, as this machine's are.
static void put_row(bytes_t *rows, const page_view_t *view) {
  uint64_t visitor = (uint64_t)view->visitor;
  uint32_t at = (uint32_t)view->at;
  put(rows, &visitor, sizeof visitor);
  put_text(rows, &view->path);
  put(rows, &at, sizeof at);
  put(rows, &(uint8_t){view->has_referrer ? 0 : 1}, 1);
  if (view->has_referrer) put_text(rows, &view->referrer);
  size_t count = view->tag_count;
  for (; count >= 0x80; count >>= 7) put(rows, &(uint8_t){(uint8_t)(count | 0x80)}, 1);
  put(rows, &(uint8_t){(uint8_t)count}, 1);
  put(rows, view->tags.ptr, view->tags.len);
}

static void reject(tidegate_processor_types_list_rejection_t *rejections, uint32_t message, const char *reason,
                   const bytes_t *detail) {
  tidegate_processor_types_rejection_t *rejection = &rejections->ptr[rejections->len++];
  bytes_t text = {0};
  put(&text, reason, strlen(reason));
  if (detail != NULL) put(&text, detail->ptr, detail->len);
  rejection->message = message;
  message_processor_string_dup_n(&rejection->reason, (const char *)text.ptr, text.len);
  free(text.ptr);
}

void exports_tidegate_processor_processor_process(exports_tidegate_processor_processor_batch_t *batch,
                                                  exports_tidegate_processor_processor_processed_t *answer) {
  static page_view_t view;
  size_t n = batch->ends.len;
  bytes_t rows = {0};
  tidegate_processor_types_rows_t *output = allocate(sizeof *output);
  memset(answer, 0, sizeof *answer);
  answer->outcomes = (message_processor_list_u8_t){allocate(n), n};
  answer->rejections.ptr = allocate(n * sizeof *answer->rejections.ptr);
  answer->rows = (tidegate_processor_types_list_rows_t){output, 1};
  output->row_ends.ptr = allocate(n * sizeof(uint32_t));
  output->sources.ptr = allocate(n * sizeof(uint32_t));
  uint64_t heartbeats = 0;
  for (uint32_t message = 0, start = 0; message < n; start = batch->ends.ptr[message++]) {
    json_t json = {batch->payloads.ptr + start, batch->payloads.ptr + batch->ends.ptr[message]};
    uint8_t *outcome = &answer->outcomes.ptr[message];
    *outcome = REJECTED;
    if (!read_message(json, &view)) {
      reject(&answer->rejections, message, "not a JSON object", NULL);
    } else if (!view.has_kind) {
      reject(&answer->rejections, message, "kind is not a text", NULL);
    } else if (is_text(&view.kind, "heartbeat")) {
      *outcome = SKIPPED;
      heartbeats++;
    } else if (!is_text(&view.kind, "view")) {
      reject(&answer->rejections, message, "unknown kind: ", &view.kind);
    } else if (wrong(&view) != NULL) {
      reject(&answer->rejections, message, wrong(&view), NULL);
    } else {
      *outcome = ROWS;
      put_row(&rows, &view);
      output->row_ends.ptr[output->row_ends.len++] = (uint32_t)rows.len;
      output->sources.ptr[output->sources.len++] = message;
    }
  }
  output->data = (message_processor_list_u8_t){rows.ptr, rows.len};
  free_empty(output->data.ptr, output->data.len);
  free_empty(output->row_ends.ptr, output->row_ends.len);
  free_empty(output->sources.ptr, output->sources.len);
  free_empty(answer->rejections.ptr, answer->rejections.len);
  if (heartbeats > 0) {
    message_processor_string_t name;
    message_processor_string_set(&name, "heartbeats");
    tidegate_processor_host_count(&name, heartbeats);
  }
  exports_tidegate_processor_processor_batch_free(batch);
}
