// A reader of JSON without a tree: one value after the other, in place. A text is unescaped into a buffer.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes that grow. Without memory for more the processor traps, which costs the message that wanted it.
typedef struct {
  uint8_t *ptr;
  size_t len, capacity;
} bytes_t;

void put(bytes_t *bytes, const void *data, size_t len);

typedef struct {
  const uint8_t *at, *end;
} json_t;

// Each reads one value and returns false if there is another or none; the rest is not to be read then.
bool json_text(json_t *json, bytes_t *text);
bool json_number(json_t *json, double *number);
bool json_null(json_t *json);
bool json_skip(json_t *json);

// The first byte of the next value; 0 at the end.
uint8_t json_peek(json_t *json);

// Enters an object ('{') or an array ('[').
bool json_enter(json_t *json, char bracket);
// Whether another member or element follows; `count` of them were read. At the end, or where neither follows, `more` is
// false; the result is false if the text is not JSON.
bool json_next(json_t *json, char closing, size_t count, bool *more);
bool json_key(json_t *json, bytes_t *key);

// Whether nothing follows.
bool json_end(json_t *json);

bool is_utf8(const uint8_t *text, size_t len);

#endif
