// Part of the stub: answers to calls about names that the sentry has lent to the address space (sentry/kernel/lent-names.ts). They
// are kept in the area, each with the generation of names and the epoch of the area in which it was given, and repeated while
// both are so. The sentry lends to address spaces of one thread only, so nobody else writes here.
//
// A guest that writes there itself deceives itself only.
#include "stub.h"

struct name {
  u32 generation, epoch;
  int result;
  u32 length;
  u64 text[NAME_MAX / 8];
};
_Static_assert(sizeof(struct name) == NAME_ENTRY_SIZE, "entry of a name");
_Static_assert(AREA_NAMES + NAMES * NAME_ENTRY_SIZE <= SLOT_SIZE, "names fit the header");

// Fills the rest of the last word with zeros; room for it is there.
static struct name *entry_of(u64 *text, u64 length) {
  u64 hash = 0, words = (length + 7) / 8;
  if (length % 8 != 0) text[words - 1] &= (1UL << length % 8 * 8) - 1;
  for (u64 i = 0; i < words; i++) {
    hash = (hash ^ text[i]) * 0x9e3779b97f4a7c15UL;
    hash ^= hash >> 32;
  }
  return (struct name *)(AREA_ADDR + AREA_NAMES) + hash % NAMES;
}

// The name is fetched to where a call that goes to the sentry has it.
int stub_answer_name(u64 slot, const u64 *args, u64 *result) {
  u64 *text = (u64 *)(slot + SLOT_PREFETCH);
  u32 generation = __atomic_load_n((volatile u32 *)(PUBLISH_ADDR + PUBLISH_NAMES), __ATOMIC_ACQUIRE);
  WORD(slot, SLOT_LENT_ANSWER) = 0; // Of a call that ended by a trap.
  if ((int)args[2] <= 0) return 0; // EINVAL, whatever the name.
  long length = stub_copy_string(text, (const void *)args[0], NAME_MAX);
  if (length <= 0) return 0;
  const struct name *e = entry_of(text, (u64)length);
  if (e->generation != generation || e->epoch != WORD(AREA_ADDR, AREA_EPOCH) || e->length != (u32)length) return 0;
  for (long i = 0; i < (length + 7) / 8; i++)
    if (e->text[i] != text[i]) return 0;
  *result = (u64)(long)e->result;
  return 1;
}

void stub_keep_name(u64 slot, u64 result) {
  u64 *text = (u64 *)(slot + SLOT_PREFETCH);
  u32 length = WORD(slot, SLOT_PREFETCH_LEN);
  if (length == 0 || length > NAME_MAX) return;
  struct name *e = entry_of(text, length);
  e->generation = WORD(slot, SLOT_LENT_ANSWER);
  e->epoch = WORD(slot, SLOT_LENT_EPOCH);
  e->result = (int)result;
  e->length = length;
  for (u32 i = 0; i < (length + 7) / 8; i++) e->text[i] = text[i];
}
