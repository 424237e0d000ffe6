#include "json.h"

#include <stdlib.h>
#include <string.h>

// Deeper values are not read, so that none can exhaust the stack.
enum { DEPTH_MAX = 64 };

void put(bytes_t *bytes, const void *data, size_t len) {
  if (bytes->len + len > bytes->capacity) {
    bytes->capacity = (bytes->len + len) * 2;
    bytes->ptr = realloc(bytes->ptr, bytes->capacity);
    if (bytes->ptr == NULL) __builtin_trap();
  }
  if (len > 0) memcpy(bytes->ptr + bytes->len, data, len);
  bytes->len += len;
}

uint8_t json_peek(json_t *json) {
  while (json->at < json->end && memchr(" \t\r\n", *json->at, 4) != NULL) json->at++;
  return json->at < json->end ? *json->at : 0;
}

static bool take(json_t *json, char sign) {
  if (json_peek(json) != (uint8_t)sign) return false;
  json->at++;
  return true;
}

static bool word(json_t *json, const char *expected) {
  size_t len = strlen(expected);
  json_peek(json);
  if ((size_t)(json->end - json->at) < len || memcmp(json->at, expected, len) != 0) return false;
  json->at += len;
  return true;
}

bool json_null(json_t *json) { return word(json, "null"); }

bool json_enter(json_t *json, char bracket) { return take(json, bracket); }

bool json_next(json_t *json, char closing, size_t count, bool *more) {
  *more = !take(json, closing);
  return !*more || count == 0 || take(json, ',');
}

bool json_key(json_t *json, bytes_t *key) { return json_text(json, key) && take(json, ':'); }

bool json_end(json_t *json) { return json_peek(json) == 0 && json->at == json->end; }

static bool unit(json_t *json, uint32_t *value) {
  *value = 0;
  for (int digit = 0; digit < 4; digit++) {
    if (json->at == json->end) return false;
    uint8_t c = *json->at++;
    if (c >= '0' && c <= '9') *value = *value << 4 | (c - '0');
    else if ((c | 32) >= 'a' && (c | 32) <= 'f') *value = *value << 4 | ((c | 32) - 'a' + 10);
    else return false;
  }
  return true;
}

// After \u: a character may take two units.
static bool character(json_t *json, bytes_t *text) {
  uint32_t c, low;
  if (!unit(json, &c)) return false;
  if (c >= 0xdc00 && c < 0xe000) return false;
  if (c >= 0xd800 && c < 0xdc00) {
    if (json->end - json->at < 6 || json->at[0] != '\\' || json->at[1] != 'u') return false;
    json->at += 2;
    if (!unit(json, &low) || low < 0xdc00 || low >= 0xe000) return false;
    c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
  }
  uint8_t utf8[4];
  size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const uint8_t first[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
  for (size_t i = len; i-- > 1; c >>= 6) utf8[i] = 0x80 | (c & 0x3f);
  utf8[0] = first[len] | c;
  put(text, utf8, len);
  return true;
}

static bool escaped(json_t *json, bytes_t *text) {
  static const char signs[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  if (json->at == json->end) return false;
  char sign = (char)*json->at++;
  if (sign == 'u') return character(json, text);
  const char *found = sign == 0 ? NULL : strchr(signs, sign);
  if (found != NULL) put(text, &meanings[found - signs], 1);
  return found != NULL;
}

bool json_text(json_t *json, bytes_t *text) {
  text->len = 0;
  if (!take(json, '"')) return false;
  for (;;) {
    const uint8_t *start = json->at;
    while (json->at < json->end && *json->at != '"' && *json->at != '\\' && *json->at >= 0x20) json->at++;
    put(text, start, (size_t)(json->at - start));
    if (json->at == json->end || *json->at < 0x20) return false;
    if (*json->at++ == '"') return true;
    if (!escaped(json, text)) return false;
  }
}

static bool digits(json_t *json) {
  const uint8_t *start = json->at;
  while (json->at < json->end && *json->at >= '0' && *json->at <= '9') json->at++;
  return json->at > start;
}

bool json_number(json_t *json, double *number) {
  json_peek(json);
  const uint8_t *start = json->at;
  if (json->at < json->end && *json->at == '-') json->at++;
  const uint8_t *whole = json->at;
  if (!digits(json) || (*whole == '0' && json->at - whole > 1)) return false;
  if (json->at < json->end && *json->at == '.') {
    json->at++;
    if (!digits(json)) return false;
  }
  if (json->at < json->end && (*json->at | 32) == 'e') {
    json->at++;
    if (json->at < json->end && (*json->at == '+' || *json->at == '-')) json->at++;
    if (!digits(json)) return false;
  }
  bytes_t text = {0};
  put(&text, start, (size_t)(json->at - start));
  put(&text, "", 1);
  *number = strtod((const char *)text.ptr, NULL);
  free(text.ptr);
  return true;
}

static bool skip(json_t *json, int depth);

static bool skip_members(json_t *json, char closing, int depth) {
  bytes_t key = {0};
  bool more, read = true;
  for (size_t count = 0; (read = json_next(json, closing, count, &more)) && more; count++) {
    if (closing == '}' && !(read = json_key(json, &key))) break;
    if (!(read = skip(json, depth + 1))) break;
  }
  free(key.ptr);
  return read;
}

static bool skip(json_t *json, int depth) {
  bytes_t text = {0};
  double number;
  bool read;
  if (depth > DEPTH_MAX) return false;
  switch (json_peek(json)) {
    case '{': return take(json, '{') && skip_members(json, '}', depth);
    case '[': return take(json, '[') && skip_members(json, ']', depth);
    case '"':
      read = json_text(json, &text);
      free(text.ptr);
      return read;
    case 't': return word(json, "true");
    case 'f': return word(json, "false");
    case 'n': return word(json, "null");
    default: return json_number(json, &number);
  }
}

bool json_skip(json_t *json) { return skip(json, 0); }

bool is_utf8(const uint8_t *text, size_t len) {
  for (size_t i = 0; i < len;) {
    uint8_t c = text[i];
    size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 4;
    if (more == 4 || len - i <= more) return false;
    for (size_t k = 1; k <= more; k++)
      if ((text[i + k] & 0xc0) != 0x80) return false;
    // Longer than needed, half of a pair, or beyond the last character.
    if ((c == 0xe0 && text[i + 1] < 0xa0) || (c == 0xed && text[i + 1] > 0x9f)) return false;
    if ((c == 0xf0 && text[i + 1] < 0x90) || (c == 0xf4 && text[i + 1] > 0x8f)) return false;
    i += more + 1;
  }
  return true;
}
